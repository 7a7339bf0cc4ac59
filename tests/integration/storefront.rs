//! The made-up web shop of `deploy/examples/storefront`, with the real program beside it.

#[path = "../../deploy/examples/storefront/store/mod.rs"]
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

#[test]
fn a_purchase_changes_the_lists_of_the_made_up_web_shop() {
    let program = store::souk::Program {
        path: PathBuf::from(env!("CARGO_BIN_EXE_souk")),
        first: "client".to_owned(),
    };
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let said = runtime.block_on(store::check::check(&program, any));
    let said = said.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.starts_with("good: "), "{said}");
}
