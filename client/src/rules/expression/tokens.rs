//! The text of a condition, cut into words, numbers, texts and signs.

use super::ExpressionError;

/// A piece of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A field's name, `in`, `contains`, `true`, `false`, `none`.
    Word(String),
    /// Finite.
    Number(f64),
    /// What stands between quotation marks.
    Text(String),
    /// One of [`SIGNS`].
    Sign(&'static str),
    /// Nothing stands there any more.
    End,
}

/// A piece and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The piece.
    pub token: Token,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// Every sign; of two that begin alike the longer comes first.
pub const SIGNS: [&str; 16] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "[", "]", ",", "-", "=",
];

impl Token {
    /// As errors name it.
    pub fn words(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

impl Placed {
    /// An error at this place.
    pub fn error(&self, message: impl Into<String>) -> ExpressionError {
        ExpressionError {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }
}

/// Cuts a condition into pieces; the last is [`Token::End`].
///
/// # Errors
/// A text without its end, a number that is none, a sign that means nothing, more than [`MOST_CHARS`] characters.
pub fn tokens(text: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        column: 1,
    };
    let chars = text.chars().count();
    if chars > MOST_CHARS {
        return Err(reader.here().error(format!(
            "the condition has {chars} characters, at most {MOST_CHARS} are read: make two rules of it"
        )));
    }
    let mut found = Vec::new();
    loop {
        reader.take_while(char::is_whitespace);
        let mut placed = reader.here();
        placed.token = match reader.next_token(&placed)? {
            Some(token) => token,
            None => {
                found.push(placed);
                return Ok(found);
            }
        };
        found.push(placed);
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Reader<'a> {
    fn here(&self) -> Placed {
        Placed {
            token: Token::End,
            line: self.line,
            column: self.column,
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        for char in taken.chars() {
            match char {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|char| !wanted(char)).unwrap_or(self.rest.len());
        self.take(end)
    }

    fn next_token(&mut self, at: &Placed) -> Result<Option<Token>, ExpressionError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if first == '"' || first == '\'' {
            return self.text(first, at).map(Some);
        }
        if first.is_ascii_digit() {
            let digits = self.take_while(|char| char.is_ascii_alphanumeric() || char == '.' || char == '_');
            let number = digits.parse::<f64>().ok().filter(|number| number.is_finite());
            return number
                .map(|number| Some(Token::Number(number)))
                .ok_or_else(|| at.error(format!("{digits:?} is no number: write 12 or 12.50")));
        }
        if first.is_alphabetic() || first == '_' {
            let word = self.take_while(|char| char.is_alphanumeric() || char == '_');
            return Ok(Some(Token::Word(word.to_owned())));
        }
        let sign = SIGNS.into_iter().find(|sign| self.rest.starts_with(sign));
        let sign = sign.ok_or_else(|| {
            let hint = match first {
                '&' => "; \"and\" is written &&",
                '|' => "; \"or\" is written ||",
                '“' | '”' | '„' | '’' | '‘' => "; texts stand between straight quotation marks",
                _ => "",
            };
            at.error(format!("{first:?} means nothing here{hint}"))
        })?;
        self.take(sign.len());
        Ok(Some(Token::Sign(sign)))
    }

    fn text(&mut self, mark: char, at: &Placed) -> Result<Token, ExpressionError> {
        self.take(mark.len_utf8());
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|char| char != mark && char != '\\'));
            let is_end = self.rest.starts_with(mark);
            if self.rest.is_empty() {
                return Err(at.error(format!("the text that begins here has no end: expected {mark}")));
            }
            self.take(1);
            if is_end {
                return Ok(Token::Text(text));
            }
            // After a backslash any character stands for itself.
            if let Some(char) = self.rest.chars().next() {
                text.push_str(self.take(char.len_utf8()));
            }
        }
    }
}

/// Most characters of one condition.
pub const MOST_CHARS: usize = 4000;
