//! Bytes as hexadecimal digits in files for people, as they are on the wire: `#[serde(with = "souk_common::hex")]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Writes.
///
/// # Errors
/// Of the serializer.
pub fn serialize<S: Serializer, B: AsRef<[u8]>>(bytes: &B, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.as_ref();
    if serializer.is_human_readable() {
        serializer.serialize_str(&text(bytes))
    } else {
        bytes.serialize(serializer)
    }
}

/// Reads into a vector, or into an array of just that length.
///
/// # Errors
/// When it is no such text, or of another length.
pub fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(deserializer: D) -> Result<B, D::Error> {
    let bytes = if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        bytes(&text).ok_or_else(|| D::Error::custom("no hexadecimal digits"))?
    } else {
        Vec::deserialize(deserializer)?
    };
    let len = bytes.len();
    B::try_from(bytes).map_err(|_| D::Error::custom(format!("{len} bytes where another number belongs")))
}

/// Two digits a byte.
pub fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a text of hexadecimal digits; none if it is not one.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Key(#[serde(with = "super")] [u8; 3]);

    #[test]
    fn arrays_survive_both_forms_and_other_lengths_are_refused() {
        let key = Key([1, 0xab, 0]);
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"01ab00\"");
        assert_eq!(serde_json::from_str::<Key>("\"01ab00\"").unwrap(), key);
        for bad in ["\"01ab\"", "\"01ab0\"", "\"01ab0g\"", "1"] {
            assert!(serde_json::from_str::<Key>(bad).is_err(), "{bad}");
        }
        let wire = crate::wire::codec::encode(&key).unwrap();
        assert_eq!(crate::wire::codec::decode::<Key>(&wire).unwrap(), key);
    }
}
