//! Client and daemon of different versions.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::{Result, ensure};

use super::send_to;
use crate::stage::on_stage;

#[test]
fn a_newer_client_learns_what_this_daemon_does_not_know() {
    on_stage(|stage| {
        for newer in [
            r#"{"verb":"defragment"}"#,
            r#"{"verb":"mode","to":"enforce","planet":"mars"}"#,
            r#"{"verb":"refresh_prefixes","then":"apply_backwards"}"#,
        ] {
            let answer = send_to(stage, "control.sock", format!("{newer}\n").as_bytes())?;
            let known = format!("not a request that aop {} knows", env!("CARGO_PKG_VERSION"));
            ensure!(answer.contains(&known) && answer.contains("unknown"), "{answer}");
        }
        ensure!(stage.daemon.status()?.enforcing("eth0")?);
        Ok(())
    });
}

#[test]
fn a_daemon_of_another_version_is_distinguished_from_a_broken_one() {
    on_stage(|stage| {
        stage.daemon.kill();
        let path = stage.config.runtime.join("control.sock");
        std::fs::remove_file(&path)?;
        let other = UnixListener::bind(&path)?;
        let answers = |answer: &'static str| -> Result<String> {
            std::thread::scope(|scope| {
                let serving = scope.spawn(|| -> Result<()> {
                    let (mut stream, _) = other.accept()?;
                    BufReader::new(&stream).read_line(&mut String::new())?;
                    Ok(stream.write_all(answer.as_bytes())?)
                });
                let told = stage.daemon.verb(&["status"])?;
                if !serving.is_finished() {
                    // It got no request, and would wait forever.
                    UnixStream::connect(&path).ok();
                }
                serving.join().expect("no panic")?;
                ensure!(told.code == 1, "{told:?}");
                Ok(told.errors)
            })
        };
        let told = answers("{\"ok\":{\"version\":\"9.0.0\",\"verdicts\":\"many\"}}\n")?;
        ensure!(told.contains("it runs another version") && told.contains("upgrade"), "{told}");
        let told = answers("")?;
        ensure!(told.contains("gave no answer") && told.contains("see its log"), "{told}");
        Ok(())
    });
}
