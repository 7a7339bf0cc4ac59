//! See the library's `run_cli`.

fn main() -> std::process::ExitCode {
    souk_coordinator::run_cli(std::env::args_os().skip(1))
}
