//! The three programs in one: `souk coordinator ...`, `souk client ...`, `souk sim ...`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    args.next();
    match args.next().as_deref().and_then(|name| name.to_str()) {
        Some("coordinator") => souk_coordinator::run_cli(args),
        Some("client") => souk_client::run_cli(args),
        Some("sim") => souk_simulator::run_cli(args),
        // No program of Souk's: see tests/integration/ledger.rs.
        Some("spend-until-killed") => souk_tests::spender::run(args),
        _ => {
            eprintln!("souk: say coordinator, client or sim first");
            ExitCode::from(64)
        }
    }
}
