//! Pieces put together by how strongly each sign binds (Pratt 1973): `||` least, then `&&`, comparisons, and `!` most.

use std::collections::BTreeSet;

use super::tokens::{Placed, Token, tokens};
use super::{
    Comparison, Condition, ExpressionError, Flag, NumberField, NumberOperand, TextField, TextOperand,
};

/// Understands a condition. `numbers` are the names of the catalogue's numbers; none: not known here, and any name may be one.
///
/// # Errors
/// Where it makes no sense, with what was expected.
pub fn parse(text: &str, numbers: Option<&BTreeSet<String>>) -> Result<Condition, ExpressionError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        numbers,
    };
    let start = parser.peek().clone();
    let node = parser.node(0)?;
    let next = parser.peek();
    match next.token {
        Token::End => parser.condition(node, &start),
        _ => Err(next.error(format!(
            "expected && or || or the end, found {}{}",
            next.token.words(),
            hint(&next.token)
        ))),
    }
}

/// What a part of a condition is.
enum Node {
    Condition(Condition),
    Number(NumberOperand),
    Text(TextOperand),
    Tags,
    /// `none`: not known.
    Unknown,
}

impl Node {
    fn words(&self) -> &'static str {
        match self {
            Self::Condition(_) => "a condition",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Tags => "a list of tags",
            Self::Unknown => "none",
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
    numbers: Option<&'a BTreeSet<String>>,
}

impl Parser<'_> {
    fn peek(&self) -> &Placed {
        &self.tokens[self.at]
    }

    fn take(&mut self) -> Placed {
        let taken = self.tokens[self.at].clone();
        // The end stays the end.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        taken
    }

    fn expect(&mut self, sign: &str) -> Result<(), ExpressionError> {
        let next = self.take();
        match &next.token {
            Token::Sign(found) if *found == sign => Ok(()),
            found => Err(next.error(format!(
                "expected `{sign}`, found {}{}",
                found.words(),
                hint(found)
            ))),
        }
    }

    fn condition(&self, node: Node, at: &Placed) -> Result<Condition, ExpressionError> {
        match node {
            Node::Condition(condition) => Ok(condition),
            other => Err(at.error(format!(
                "expected a condition such as price < 50, found {} alone",
                other.words()
            ))),
        }
    }

    /// Everything from here on that binds at least as strongly as `least`.
    fn node(&mut self, least: u8) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.peek().error(format!(
                "more than {MOST_DEPTH} parts within each other: make two rules of it"
            )));
        }
        let start = self.peek().clone();
        let mut left = self.first()?;
        let mut parts = 0;
        loop {
            let next = self.peek().clone();
            let strength = match &next.token {
                Token::Sign("||") => 1,
                Token::Sign("&&") => 2,
                Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=") => 3,
                Token::Word(word) if word == "in" || word == "contains" => 3,
                _ => break,
            };
            if strength < least {
                break;
            }
            // Each part is one step deeper, however it is written: what walks the tree must not run out of stack.
            parts += 1;
            if parts > MOST_PARTS {
                return Err(next.error(format!(
                    "more than {MOST_PARTS} parts in a row: make two rules of it"
                )));
            }
            self.take();
            left = match &next.token {
                Token::Sign(sign @ ("||" | "&&")) => {
                    let a = Box::new(self.condition(left, &start)?);
                    let right_at = self.peek().clone();
                    let right = self.node(strength + 1)?;
                    let b = Box::new(self.condition(right, &right_at)?);
                    Node::Condition(match *sign {
                        "||" => Condition::Or(a, b),
                        _ => Condition::And(a, b),
                    })
                }
                Token::Word(word) if word == "in" => Node::Condition(self.among(&left, &next)?),
                Token::Word(_) => Node::Condition(self.contains(&left, &next)?),
                Token::Sign(sign) => {
                    let right = self.node(strength + 1)?;
                    let compared = compare(left, sign, right, &next)?;
                    self.must_not_go_on()?;
                    Node::Condition(compared)
                }
                _ => unreachable!("only signs and words have a strength"),
            };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// `1 < price < 5` is not what it looks like.
    fn must_not_go_on(&self) -> Result<(), ExpressionError> {
        let next = self.peek();
        match &next.token {
            Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=") => Err(next.error(format!(
                "expected && or || or the end, found {}: write two comparisons with && between them",
                next.token.words()
            ))),
            _ => Ok(()),
        }
    }

    fn first(&mut self) -> Result<Node, ExpressionError> {
        let next = self.take();
        match &next.token {
            Token::Number(number) => Ok(Node::Number(NumberOperand::Value(*number))),
            Token::Text(text) => Ok(Node::Text(TextOperand::Value(text.clone()))),
            Token::Sign("-") => match self.take() {
                Placed {
                    token: Token::Number(number),
                    ..
                } => Ok(Node::Number(NumberOperand::Value(-number))),
                other => Err(other.error(format!(
                    "expected a number behind `-`, found {}",
                    other.token.words()
                ))),
            },
            Token::Sign("!") => {
                let at = self.peek().clone();
                match self.node(NOT)? {
                    Node::Condition(inner) => Ok(Node::Condition(Condition::Not(Box::new(inner)))),
                    other => Err(at.error(format!(
                        "expected a condition behind `!`, found {}: put parentheses around the comparison",
                        other.words()
                    ))),
                }
            }
            Token::Sign("(") => {
                let inner = self.node(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Word(word) => self.word(word, &next),
            other => Err(next.error(format!(
                "expected a field, a number, a text, `!` or `(`, found {}",
                other.words()
            ))),
        }
    }

    fn word(&mut self, word: &str, at: &Placed) -> Result<Node, ExpressionError> {
        let text = |field| Ok(Node::Text(TextOperand::Field(field)));
        let number = |field| Ok(Node::Number(NumberOperand::Field(field)));
        match word {
            "true" | "false" => Ok(Node::Condition(Condition::Constant(word == "true"))),
            "none" => Ok(Node::Unknown),
            "id" => text(TextField::Id),
            "title" => text(TextField::Title),
            "category" => text(TextField::Category),
            "brand" => text(TextField::Brand),
            "price" => number(NumberField::Price),
            "stock" => number(NumberField::Stock),
            "tags" => Ok(Node::Tags),
            "hidden" => Ok(Node::Condition(Condition::Flag(Flag::Hidden))),
            "in_cart" => Ok(Node::Condition(Condition::Flag(Flag::InCart))),
            "number" if self.peek().token == Token::Sign("(") => {
                self.take();
                let name = self.take();
                let Token::Text(text) = &name.token else {
                    return Err(name.error(format!(
                        "expected the name of a number in quotation marks, found {}",
                        name.token.words()
                    )));
                };
                let field = self.number_called(text, &name)?;
                self.expect(")")?;
                number(field)
            }
            name => number(self.number_called(name, at)?),
        }
    }

    fn number_called(&self, name: &str, at: &Placed) -> Result<NumberField, ExpressionError> {
        if self.numbers.is_none_or(|numbers| numbers.contains(name)) && hint(&at.token).is_empty() {
            return Ok(NumberField::Named(name.to_owned()));
        }
        let of_catalogue = self.numbers.into_iter().flatten().map(String::as_str);
        let known = || FIELDS.into_iter().chain(of_catalogue.clone());
        let near = known()
            .map(|field| {
                (
                    strsim::damerau_levenshtein(&name.to_lowercase(), &field.to_lowercase()),
                    field,
                )
            })
            .filter(|(edits, field)| *edits <= 2.min(field.len() / 2))
            .min();
        let meant = match (near, hint(&at.token)) {
            (_, hint) if !hint.is_empty() => hint.to_owned(),
            (Some((_, field)), _) => format!(": did you mean `{field}`?"),
            (None, _) => {
                let known: Vec<&str> = known().take(MOST_NAMED).collect();
                format!(": there are {}", known.join(", "))
            }
        };
        Err(at.error(format!("expected a field, found `{name}`{meant}")))
    }

    /// Behind `in`.
    fn among(&mut self, left: &Node, at: &Placed) -> Result<Condition, ExpressionError> {
        self.expect("[")?;
        let mut any = Vec::new();
        loop {
            let value_at = self.peek().clone();
            if value_at.token == Token::Sign("]") && any.is_empty() {
                return Err(
                    value_at.error("expected a text or a number, found `]`: an empty list holds nothing")
                );
            }
            let value = self.first()?;
            if any.len() == MOST_IN_LIST {
                return Err(value_at.error(format!(
                    "more than {MOST_IN_LIST} values in one list: make two rules of it"
                )));
            }
            any.push(match (left, value) {
                (Node::Text(a), Node::Text(b @ TextOperand::Value(_))) => Condition::SameText(a.clone(), b),
                (Node::Number(a), Node::Number(b @ NumberOperand::Value(_))) => {
                    Condition::Numbers(a.clone(), Comparison::Equal, b)
                }
                (Node::Tags, Node::Text(TextOperand::Value(tag))) => Condition::HasTag(tag),
                (Node::Text(_) | Node::Tags, other) => return Err(mismatch("a text", &other, &value_at)),
                (Node::Number(_), other) => return Err(mismatch("a number", &other, &value_at)),
                (left, _) => {
                    return Err(at.error(format!(
                        "expected a field such as brand before `in`, found {}",
                        left.words()
                    )));
                }
            });
            let next = self.take();
            match &next.token {
                Token::Sign(",") => {}
                Token::Sign("]") => return Ok(Condition::Any(any)),
                other => {
                    return Err(next.error(format!("expected `,` or `]`, found {}", other.words())));
                }
            }
        }
    }

    /// Behind `contains`.
    fn contains(&mut self, left: &Node, at: &Placed) -> Result<Condition, ExpressionError> {
        let value = self.take();
        let Token::Text(text) = value.token else {
            return Err(value.error(format!(
                "expected a text in quotation marks, found {}",
                value.token.words()
            )));
        };
        match left {
            Node::Tags => Ok(Condition::HasTag(text)),
            Node::Text(TextOperand::Field(field)) => Ok(Condition::Contains(*field, text)),
            other => Err(at.error(format!(
                "expected title, category, brand, id or tags before `contains`, found {}",
                other.words()
            ))),
        }
    }
}

fn compare(left: Node, sign: &str, right: Node, at: &Placed) -> Result<Condition, ExpressionError> {
    let not = |condition| Condition::Not(Box::new(condition));
    let is_equality = sign == "==" || sign == "!=";
    let same = match (left, right) {
        (Node::Number(a), Node::Number(b)) => {
            let comparison = match sign {
                "<" => Comparison::Less,
                "<=" => Comparison::LessOrEqual,
                ">" => Comparison::More,
                ">=" => Comparison::MoreOrEqual,
                _ => Comparison::Equal,
            };
            Condition::Numbers(a, comparison, b)
        }
        (Node::Number(NumberOperand::Field(field)), Node::Unknown)
        | (Node::Unknown, Node::Number(NumberOperand::Field(field)))
            if is_equality =>
        {
            not(Condition::Known(field))
        }
        (Node::Text(a), Node::Text(b)) if is_equality => Condition::SameText(a, b),
        (Node::Text(_), Node::Text(_)) => {
            return Err(at.error(format!("expected == or != between two texts, found `{sign}`")));
        }
        (Node::Condition(a), Node::Condition(b)) if is_equality => Condition::Same(Box::new(a), Box::new(b)),
        (Node::Tags, _) | (_, Node::Tags) => {
            return Err(at.error(format!(
                "expected `contains` behind tags, found `{sign}`: tags contains \"organic\""
            )));
        }
        (left, right) => {
            return Err(at.error(format!(
                "expected two numbers or two texts around `{sign}`, found {} and {}",
                left.words(),
                right.words()
            )));
        }
    };
    Ok(match sign {
        "!=" => not(same),
        _ => same,
    })
}

fn mismatch(expected: &str, found: &Node, at: &Placed) -> ExpressionError {
    at.error(format!("expected {expected}, found {}", found.words()))
}

/// For what other languages write.
fn hint(token: &Token) -> &'static str {
    match token {
        Token::Sign("=") => ": equality is written ==",
        Token::Word(word) => match word.to_lowercase().as_str() {
            "and" => ": it is written &&",
            "or" => ": it is written ||",
            "not" => ": it is written !",
            "is" => ": it is written ==",
            "null" | "unknown" => ": it is written none",
            _ => "",
        },
        _ => "",
    }
}

const FIELDS: [&str; 9] = [
    "id", "title", "category", "brand", "price", "stock", "tags", "hidden", "in_cart",
];
/// Binds more strongly than every sign between two parts.
const NOT: u8 = 4;
const MOST_DEPTH: usize = 64;
const MOST_PARTS: usize = 200;
const MOST_IN_LIST: usize = 500;
const MOST_NAMED: usize = 20;
