use proptest::prelude::*;

use super::*;

fn carried() -> Carried {
    let side = |scale: f32| -> Arc<[f32]> { (0..6).map(|at| scale * at as f32).collect() };
    let (left, right) = (side(1.0), side(0.5));
    let form = |g| ViewForm {
        name: "view V".to_owned(),
        g,
        rank: 2,
        left: Arc::clone(&left),
        right: Arc::clone(&right),
    };
    Carried {
        of: "run 1 round 2".parse().unwrap(),
        file: Digest::of(b"file"),
        items: 3,
        popularity: Some((vec![1.0, 0.0, 2.5], 0.7)),
        forms: vec![form(0.3), form(1.0)],
        tower: None,
        model: None,
    }
}

#[test]
fn it_is_read_as_it_was_written_and_each_side_is_written_once() {
    let carried = carried();
    let bytes = carried.to_bytes();
    let read = Carried::from_bytes(&bytes).unwrap();
    assert_eq!(read, carried);
    assert!(Arc::ptr_eq(&read.forms[0].left, &read.forms[1].left));
    let header = u32::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    assert_eq!(bytes.len() - 4 - header, 4 * (3 + 6 + 6));
    for end in 0..bytes.len() {
        assert!(Carried::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    assert_eq!(
        Carried::from_bytes(&[bytes.clone(), vec![0; 4]].concat()),
        Err(CarriedError::Short)
    );
    let mut wrong = bytes.clone();
    wrong[4 + header..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        Carried::from_bytes(&wrong),
        Err(CarriedError::NotFinite { index: 0 })
    );
    wrong[4 + header..][..4].copy_from_slice(&(-1f32).to_le_bytes());
    assert_eq!(
        Carried::from_bytes(&wrong),
        Err(CarriedError::Shape { what: "popularity" })
    );
    let text = String::from_utf8(bytes[4..4 + header].to_vec()).unwrap();
    for (from, to) in [
        ("\"items\":3", "\"items\":4"),
        ("\"left\":0", "\"left\":9"),
        ("[2,2]", "[2,0]"),
        ("[2,2]", "[3,2]"),
        ("\"run 1 round 2\"", "\"round 2\""),
        ("\"tower\":0", "\"tower\":18446744073709551615"),
    ] {
        let header = text.replacen(from, to, 1);
        assert_ne!(header, text, "{from}");
        let length = (header.len() as u32).to_le_bytes();
        let whole = [&length[..], header.as_bytes(), &bytes[4 + text.len()..]].concat();
        assert!(Carried::from_bytes(&whole).is_err(), "{to}");
    }
}

#[test]
fn it_does_not_fit_another_catalogue() {
    let items = (0..4).map(|at| crate::catalogue::Item::bare(format!("i{at}")));
    let catalogue = Catalogue::new(items.collect()).unwrap();
    let features = Features::of(&catalogue);
    let refused = carried().channels((&catalogue, &features), &Channels::new());
    assert_eq!(
        refused.err(),
        Some(CarriedError::OtherCatalogue {
            items: 3,
            catalogue: 4
        })
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0usize..200, byte in any::<u8>()) {
        let mut bytes = carried().to_bytes();
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        if let Ok(read) = Carried::from_bytes(&bytes) {
            prop_assert_eq!(Carried::from_bytes(&read.to_bytes()).unwrap(), read);
        }
    }
}
