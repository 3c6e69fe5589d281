//! The worker on its own, so that this crate's tests and a debugger need no server. `oxbow worker` runs the same function.

fn main() -> std::process::ExitCode {
    pipeline::worker_main()
}
