//! What documents and examples tell web shops to ask is there.

use std::path::Path;
use std::process::Command;

use super::*;

const TEXTS: [(&str, &str); 9] = [
    (
        "docs/storefront.md",
        include_str!("../../../../docs/storefront.md"),
    ),
    ("docs/api.md", include_str!("../../../../docs/api.md")),
    (
        "souk.php",
        include_str!("../../../../deploy/examples/woocommerce/souk.php"),
    ),
    (
        "relay.py",
        include_str!("../../../../deploy/examples/shopify/relay.py"),
    ),
    (
        "souk.rs",
        include_str!("../../../../deploy/examples/storefront/store/souk.rs"),
    ),
    (
        "index.html",
        include_str!("../../../../deploy/examples/storefront/pages/index.html"),
    ),
    (
        "category.html",
        include_str!("../../../../deploy/examples/storefront/pages/category.html"),
    ),
    (
        "product.html",
        include_str!("../../../../deploy/examples/storefront/pages/product.html"),
    ),
    (
        "cart.html",
        include_str!("../../../../deploy/examples/storefront/pages/cart.html"),
    ),
];

/// The parts of a path that a text names: up to what no path has. A part that programs fill in is as good as any.
fn named(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let starts = text.match_indices("/v1/").map(|(at, _)| &text[at..]);
    starts.map(|rest| {
        let is_end = |letter: char| !(letter.is_alphanumeric() || "/-_.{}$%@".contains(letter));
        rest.split(is_end).next().unwrap_or_default().split('/').collect()
    })
}

fn is_route(named: &[&str], route: &str) -> bool {
    let is_filled = |part: &str| part.is_empty() || part.contains(['{', '$']);
    let route: Vec<&str> = route.split('/').collect();
    // `recommendations{whom}` of a program is the route with or without its last part.
    let same = |(said, own): (&&str, &&str)| {
        said == own
            || own.starts_with('{')
            || is_filled(said) && (said.is_empty() || said.starts_with(['{', '$']) || said.starts_with(own))
    };
    let is_prefix = named.last() == Some(&"") && named.len() <= route.len();
    (route.len() == named.len() || is_prefix) && named.iter().zip(&route).skip(1).all(same)
}

#[test]
fn every_path_in_documents_and_examples_is_a_route() {
    let shop = Shop::open();
    let mut routes: Vec<String> = described(&shop).into_iter().map(|(_, path)| path).collect();
    routes.push("/v1/openapi.json".to_owned());
    let mut count = 0;
    for (name, text) in TEXTS {
        for path in named(text).filter(|path| !path.contains(&"...")) {
            count += 1;
            assert!(
                routes.iter().any(|route| is_route(&path, route)),
                "{name}: {} is no route",
                path.join("/")
            );
        }
    }
    assert!(count > 40, "{count}");
    for wrong in [
        "/v1/recommend/u1",
        "/v1/fragment/similar",
        "/v1/fragment/like/i1",
        "/v2/popular",
    ] {
        let path: Vec<&str> = wrong.split('/').collect();
        assert!(!routes.iter().any(|route| is_route(&path, route)), "{wrong}");
    }
}

/// Where PHP and Python are installed.
#[test]
fn the_plugin_and_the_relay_are_programs() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let plugin = examples.join("woocommerce/souk.php");
    let relay = examples.join("shopify/relay.py");
    let parse = "import ast, sys; ast.parse(open(sys.argv[1], encoding='utf-8').read())";
    for (program, args) in [
        ("php", vec!["-l".as_ref(), plugin.as_os_str()]),
        ("python3", vec!["-c".as_ref(), parse.as_ref(), relay.as_os_str()]),
    ] {
        match Command::new(program).args(args).output() {
            Ok(said) => assert!(said.status.success(), "{program}: {said:?}"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{program}"),
        }
    }
}
