//! Numbers as people write them: with decimal points or commas, thousands set apart, and signs of currency.

/// The finite number that `text` says; none if it says none, or if a comma may mean either (`1,299`), unless
/// `decimal_commas` are known to be the file's way.
pub fn parse(text: &str, decimal_commas: bool) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        // Words such as "nan" and "inf" are no numbers of a shop.
        return number.is_finite().then_some(number);
    }
    let (sign, size) = match text.strip_prefix('-') {
        Some(size) => ("-", size),
        None => ("", text),
    };
    let size = size.trim_matches(|letter: char| CURRENCIES.contains(&letter) || letter.is_whitespace());
    let bare: String = sign
        .chars()
        .chain(size.chars())
        .filter(|letter| !SPACES.contains(letter))
        .collect();
    let number = match (bare.rfind(','), bare.rfind('.')) {
        (None, _) => bare,
        // The last of the two is the decimal sign.
        (Some(comma), Some(point)) if comma < point => without(&bare, ',')?,
        (Some(_), Some(_)) => without(&bare, '.')?.replace(',', "."),
        (Some(comma), None) => {
            let (commas, after) = (bare.matches(',').count(), bare.len() - comma - 1);
            match commas {
                1 if decimal_commas || after != THOUSANDS => bare.replace(',', "."),
                1 => return None,
                _ => without(&bare, ',')?,
            }
        }
    };
    number.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Takes `sign` out where it sets thousands apart; none if it stands elsewhere.
fn without(text: &str, sign: char) -> Option<String> {
    let whole = text.find(|letter| letter != sign && matches!(letter, ',' | '.'));
    let mut groups = text[..whole.unwrap_or(text.len())].split(sign);
    groups.next();
    groups
        .all(|group| group.len() == THOUSANDS)
        .then(|| text.replace(sign, ""))
}

const THOUSANDS: usize = 3;
const CURRENCIES: [char; 6] = ['$', '€', '£', '¥', '₹', '₩'];
/// Spaces and apostrophes that set thousands apart.
const SPACES: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '\u{2019}'];
