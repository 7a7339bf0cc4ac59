use std::collections::BTreeMap;

use souk_common::catalogue::Item;

use super::*;

/// A tensor in the making: type, shape, bytes.
type Tensor = (Dtype, Vec<usize>, Vec<u8>);

fn vector(numbers: &[f32]) -> Tensor {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    (Dtype::F32, vec![numbers.len()], bytes.collect())
}

/// A catalogue of items `a`, `b`, ... and a file of tensors.
fn added(items: usize, tensors: &[(&str, Tensor)]) -> Result<(Catalogue, Summary), VectorsError> {
    let views: BTreeMap<&str, TensorView<'_>> = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor");
            (*name, view)
        })
        .collect();
    added_bytes(items, &safetensors::serialize(views, None).expect("a file"))
}

fn added_bytes(items: usize, bytes: &[u8]) -> Result<(Catalogue, Summary), VectorsError> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("items.safetensors");
    fs::write(&file, bytes).expect("written");
    add(&catalogue(items), &file)
}

fn catalogue(items: usize) -> Catalogue {
    let ids = ('a'..='z')
        .take(items)
        .map(|letter| Item::bare(letter.to_string()));
    Catalogue::new(ids.collect()).expect("a catalogue")
}

fn refused(tensors: &[(&str, Tensor)]) -> String {
    added(3, tensors).expect_err("refused").to_string()
}

#[test]
fn vectors_are_centred_reduced_rounded_and_counted() {
    let tensors = [
        ("a", vector(&[3.0, 0.0, 4.0])),
        ("b", vector(&[0.3, 0.0, 0.4])),
        ("d", vector(&[-3.0, 0.0, 4.0])),
        ("z", vector(&[1.0])),
        ("y", vector(&[1.0])),
    ];
    let (catalogue, summary) = added(4, &tensors).expect("vectors");
    // (.6, 0, .8) twice and (-.6, 0, .8): one direction, on which they are 1, 1 and -2 times the root of a half.
    let places = |item: &Item| {
        item.vector
            .iter()
            .map(|value| (value * 1e4).round() as i32)
            .collect()
    };
    let vectors: Vec<Vec<i32>> = catalogue.items().iter().map(places).collect();
    assert_eq!(vectors, [vec![7071], vec![7071], vec![], vec![-14142]]);
    assert_eq!(
        (summary.with, summary.without, summary.unknown, summary.listed()),
        (3, 1, 2, "\"y\", \"z\"".to_owned())
    );
    assert_eq!((summary.numbers_given, summary.numbers_kept), (3, 1));
    assert!((summary.variance_kept - 1.0).abs() < 1e-9);
    let (again, _) = added(4, &tensors).expect("again");
    assert_eq!(again.digest(), catalogue.digest());
    assert!(catalogue.to_bytes().starts_with(b"{\"id\":\"a\""));
    assert!(String::from_utf8_lossy(&catalogue.to_bytes()).contains("\"vector\":[0.7071]"));
}

#[test]
fn at_most_32_numbers_are_kept_and_old_vectors_go() {
    let tensors: Vec<(String, Tensor)> = ('a'..='z')
        .zip(0..)
        .map(|(letter, at)| {
            let number = |place: u32| ((at * 37 + place * place * 11) % 101) as f32 - 50.0;
            (
                letter.to_string(),
                vector(&(0..1024).map(number).collect::<Vec<_>>()),
            )
        })
        .collect();
    let named: Vec<(&str, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.clone()))
        .collect();
    let (catalogue, summary) = added(26, &named).expect("vectors");
    assert!(
        summary.numbers_kept <= 25 && summary.variance_kept > 0.999,
        "{summary:?}"
    );
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("two.safetensors");
    let views = [("a", [1.0f32, 0.0]), ("c", [0.0, 1.0])].map(|(name, numbers)| (name, vector(&numbers)));
    let views: Vec<_> = views
        .iter()
        .map(|(name, (dtype, shape, bytes))| {
            (
                name,
                TensorView::new(*dtype, shape.clone(), bytes).expect("a tensor"),
            )
        })
        .collect();
    fs::write(&file, safetensors::serialize(views, None).expect("a file")).expect("written");
    let (catalogue, _) = add(&catalogue, &file).expect("two");
    let with = catalogue.items().iter().filter(|item| !item.vector.is_empty());
    assert_eq!(with.map(|item| item.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn all_types_of_real_numbers_say_the_same() {
    let doubles = [1.0f64, -0.5, 0.0, 2.0];
    let halves: Vec<u8> = [0x3c00u16, 0xb800, 0x8000, 0x4000]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let brains: Vec<u8> = [0x3f80u16, 0xbf00, 0x8000, 0x4000]
        .iter()
        .flat_map(|half| half.to_le_bytes())
        .collect();
    let tensors: [Tensor; 4] = [
        (
            Dtype::F64,
            vec![4],
            doubles.iter().flat_map(|number| number.to_le_bytes()).collect(),
        ),
        vector(&doubles.map(|number| number as f32)),
        (Dtype::F16, vec![4], halves),
        (Dtype::BF16, vec![4], brains),
    ];
    for (dtype, shape, bytes) in tensors {
        let view = TensorView::new(dtype, shape, &bytes).expect("a tensor");
        assert_eq!(numbers(&view).expect("real"), doubles, "{dtype:?}");
    }
    // Subnormal, largest, and not finite.
    assert_eq!([half(1), half(0x7bff)], [2f64.powi(-24), 65504.0]);
    assert_eq!(half(0xfc00), f64::NEG_INFINITY);
    assert!(half(0x7e00).is_nan());
}

#[test]
fn bad_tensors_are_named_with_file_item_and_value() {
    let good = ("a", vector(&[1.0, 2.0]));
    let cases: [(Tensor, &str); 8] = [
        (vector(&[1.0, f32::NAN]), "number 1 is NaN"),
        (vector(&[f32::NEG_INFINITY, 1.0]), "number 0 is -inf"),
        (
            vector(&[1.0, 2.0, 3.0]),
            "3 numbers where the items before it have 2",
        ),
        (vector(&[]), "0 numbers; there must be 1 to 1024"),
        (vector(&[1.0; 1025]), "1025 numbers"),
        (vector(&[0.0, 0.0]), "all numbers are 0"),
        ((Dtype::F32, vec![1, 2], vec![0; 8]), "shape [1, 2]"),
        ((Dtype::U8, vec![2], vec![1; 2]), "type U8"),
    ];
    for (bad, named) in cases {
        let said = refused(&[good.clone(), ("b", bad)]);
        assert!(
            said.contains("items.safetensors, item \"b\": ") && said.contains(named),
            "{named}: {said}"
        );
    }
    // Large and small numbers have a length.
    let far: Tensor = (
        Dtype::F64,
        vec![2],
        [1e300f64, -1e300].iter().flat_map(|x| x.to_le_bytes()).collect(),
    );
    assert!(added(3, &[good, ("b", far), ("c", vector(&[1e-44, 0.0]))]).is_ok());
}

#[test]
fn files_that_say_nothing_are_refused() {
    let unknown: Vec<String> = (0..7).map(|at| format!("no{at}")).collect();
    let unknown: Vec<(&str, Tensor)> = unknown
        .iter()
        .map(|name| (name.as_str(), vector(&[1.0])))
        .collect();
    let said = refused(&unknown);
    assert!(
        said.contains("\"no3\", \"no4\", ...") && said.contains("catalogue \"a\""),
        "{said}"
    );
    let said = refused(&[("a", vector(&[1.0, 2.0])), ("b", vector(&[2.0, 4.0]))]);
    assert!(
        said.contains("all 2 items") && said.contains("say nothing"),
        "{said}"
    );
    let said = refused(&[("c", vector(&[1.0, 2.0]))]);
    assert!(said.contains("all 1 items"), "{said}");
    assert!(refused(&[]).contains("it has no tensors"));
    for (bytes, named) in [
        (&b""[..], "it is empty"),
        (b"item_id,vector\n", "no safetensors file"),
    ] {
        let said = added_bytes(3, bytes).expect_err(named).to_string();
        assert!(
            said.contains("items.safetensors: ") && said.contains(named),
            "{said}"
        );
    }
    let nowhere = add(&catalogue(1), Path::new("nowhere.safetensors")).expect_err("not there");
    assert!(nowhere.to_string().contains("nowhere.safetensors"), "{nowhere}");
}
