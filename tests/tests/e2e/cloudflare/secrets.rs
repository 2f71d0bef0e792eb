//! The token is in one process without privilege, and nowhere else.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::cloudflare_api::{Fault, PlannedFault};
use aop_tests::process::TcpState;
use aop_tests::{Process, child, wait};
use nix::sys::signal::Signal;

use super::{Scene, TOKEN, on_cloudflare_stage};
use crate::privilege_separation::{has_no_connection, has_no_privilege};
use crate::stage::SOON;

/// The process that talks to the API of this scene, while it is connected.
fn asking(scene: &Scene<'_>) -> Result<Process> {
    let config = scene.stage.daemon.config_path().display().to_string();
    wait::until("there is a process that asks Cloudflare", SOON, || {
        let is_ours = |child: &Process| -> Result<bool> {
            let parent = Process(child.status("PPid")?.parse()?).command()?;
            let line = child.command()?;
            Ok(parent.contains(&config) && line.contains(&"ask-cloudflare".to_owned()))
        };
        let asks = |child: &Process| {
            let connected = child.tcp_sockets().is_ok_and(|it| it.contains(&TcpState::ESTABLISHED));
            connected && is_ours(child).unwrap_or(false)
        };
        let own = Process(std::process::id()).with_descendants().ok()?;
        own.into_iter().find(asks)
    })
}

fn slow(scene: &Scene<'_>) {
    scene.api.plan(PlannedFault::nth(2, Fault::Late(Duration::from_secs(2))));
}

#[test]
fn the_process_that_asks_has_no_privilege_and_its_parent_no_connection() {
    on_cloudflare_stage(|scene| {
        slow(scene);
        let asked = thread::scope(|scope| -> Result<_> {
            let verb = scope.spawn(|| scene.verb(&[]));
            let process = asking(scene)?;
            has_no_privilege(process)?;
            let parent = process.status("PPid")?.parse().context("no parent")?;
            has_no_connection(Process(parent))?;
            for process in [process, Process(parent)] {
                let (line, environment) = (process.command()?, process.environment()?);
                ensure!(!line.concat().contains("sesame"), "{line:?}");
                ensure!(!environment.contains("sesame"), "{environment}");
            }
            verb.join().expect("no panic")?.success()?;
            Ok(process)
        })?;
        ensure!(!asked.exists(), "it still runs");
        Ok(())
    });
}

#[test]
fn a_process_that_dies_in_a_call_is_an_error_and_it_dies_with_its_parent() {
    on_cloudflare_stage(|scene| {
        slow(scene);
        let done = thread::scope(|scope| -> Result<_> {
            let verb = scope.spawn(|| scene.verb(&[]));
            asking(scene)?.signal(Signal::SIGKILL)?;
            verb.join().expect("no panic")
        })?;
        ensure!(done.code == 1 && done.errors.contains("did not answer ("), "{done:?}");
        slow(scene);
        thread::scope(|scope| -> Result<()> {
            let verb = scope.spawn(|| scene.verb(&[]));
            let process = asking(scene)?;
            Process(process.status("PPid")?.parse()?).signal(Signal::SIGKILL)?;
            wait::until("it is gone", SOON, || (!process.exists()).then_some(()))?;
            // The verb was killed, so there is no exit code.
            verb.join().expect("no panic").ok();
            Ok(())
        })
    });
}

#[test]
fn the_token_is_in_no_output_and_no_log_however_much_is_logged() {
    on_cloudflare_stage(|scene| {
        let mut said = String::new();
        let faults = [None, Some(Fault::Refuse(403, 10000, "no")), Some(Fault::CutBefore)];
        for fault in faults {
            scene.api.heal();
            if let Some(fault) = fault {
                scene.api.plan(PlannedFault::next(fault));
            }
            for more in [&["--json"][..], &[]] {
                let mut command = scene.stage.lab.origin().command(scene.stage.daemon.program());
                command.args(["cloudflare", "status", "--config"]);
                command.arg(scene.stage.daemon.config_path()).args(more);
                command.env("AOP_LOG", "trace").env("RUST_BACKTRACE", "1");
                command.env("CLOUDFLARE_API_TOKEN", TOKEN);
                let done = child::finish(command, &[], Duration::from_secs(30))?;
                said += &(done.text() + &done.errors);
            }
        }
        said += &scene.stage.daemon.log();
        ensure!(said.contains("all agree") && said.contains("(10000)"), "{said}");
        ensure!(!said.contains("sesame"), "{said}");
        let calls = scene.api.calls();
        let bearer = format!("Bearer {TOKEN}");
        let sent = calls.iter().all(|call| call.authorization.as_ref() == Some(&bearer));
        ensure!(sent && calls.len() > 20, "the token did not arrive: {calls:?}");
        for call in &calls {
            ensure!(!call.path.contains("sesame"), "{call:?}");
        }
        Ok(())
    });
}
