//! gRPC through aop, between a client and a server of grpcio.

use anyhow::ensure;
use aop_tests::script;

use super::{Software, installed, takes_h2c};
use crate::stage::on_changed_stage;

#[test]
fn all_kinds_of_grpc_calls_pass() {
    if !installed(&Software::Modules(&["grpc"])) {
        return;
    }
    on_changed_stage(takes_h2c, |stage| {
        let _server = script::serve_on_origin(&stage.lab, "grpc_server", &["127.0.0.1:9000"])?;
        let cases = script::run_as_edge(&stage.lab, "grpc_client", &[])?;
        ensure!(cases.len() == 28, "{cases:?}");
        // Calls that the client cancels, or whose deadline expires, are aborted. All others pass.
        let denials = stage.daemon.status()?.denials()?;
        ensure!(denials.iter().all(|(reason, _)| reason == "aborted"), "{denials:?}");
        Ok(())
    });
}
