//! The socket after its file was removed.

use std::fs;

use anyhow::ensure;
use aop_tests::wait;
use nix::sys::signal::Signal;

use crate::stage::{SOON, on_changed_stage, on_stage};

#[test]
fn a_socket_whose_directory_was_removed_is_made_anew() {
    on_changed_stage(
        |config, _| config.tables.push("[control]\nreaders = \"nogroup\""),
        |stage| {
            let sockets = ["control.sock", "read.sock"].map(|it| stage.config.runtime.join(it));
            for round in 0..2 {
                // Not file by file: the daemon would make one anew meanwhile.
                let aside = stage.lab.dir().join(format!("run-{round}"));
                fs::rename(&stage.config.runtime, aside)?;
                wait::until("the sockets are there again", SOON, || {
                    sockets.iter().all(|it| it.exists()).then_some(())
                })?;
                let status = stage.daemon.status()?;
                ensure!(status.json()["daemon"]["pid"] == stage.daemon.process()?.0);
                stage.edge_is_served()?;
            }
            Ok(())
        },
    );
}

#[test]
fn without_a_socket_status_and_doctor_do_not_say_that_aop_is_not_running() {
    on_stage(|stage| {
        // It would make the socket anew.
        let daemon = stage.daemon.process()?;
        daemon.signal(Signal::SIGSTOP)?;
        fs::remove_dir_all(&stage.config.runtime)?;
        let told = ["status", "doctor"].map(|verb| {
            let output = stage.daemon.verb(&[verb])?;
            anyhow::Ok(output.text() + &output.errors)
        });
        daemon.signal(Signal::SIGCONT)?;
        for told in told {
            let told = told?;
            ensure!(told.contains("does not answer"), "{told}");
            ensure!(!told.contains("not running"), "{told}");
        }
        wait::until("the socket is there again", SOON, || stage.daemon.status().ok()).map(drop)
    });
}
