//! `aop fleet page`: the fleet in a browser, read-only, on this host alone.

mod reader;

use std::{process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context;
use aop_config::MonitorAddress;
use aop_fleet::report_of_host;
use aop_monitor::{FleetPageServer, FleetPages, Page, PageStatus};
use clap::Args;
use jiff::Timestamp;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use self::reader::{FleetReader, Reading};
use super::HostSelection;
use crate::{arguments::ConfigFile, output::print};

#[derive(Args)]
pub(super) struct FleetPageCommand {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    hosts: HostSelection,
    /// The address: a port of the loopback, or unix:/PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9470", value_parser = address)]
    listen: MonitorAddress,
}

fn address(text: &str) -> Result<MonitorAddress, String> {
    MonitorAddress::from_str(text).map_err(|_| {
        format!(
            "{text:?}: the page asks for no password, so only this host may reach it. Write a \
             loopback address with a port, such as 127.0.0.1:9470, or a socket, such as \
             unix:/run/aop-fleet.sock. From another machine: ssh -L 9470:127.0.0.1:9470 HOST"
        )
    })
}

impl FleetPageCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        runtime.block_on(self.serve())?;
        Ok(ExitCode::SUCCESS)
    }

    async fn serve(self) -> anyhow::Result<()> {
        let Self { file, hosts, listen } = self;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let server = FleetPageServer::bind(&listen).with_context(|| {
            format!("cannot listen on {listen}: name another address with --listen")
        })?;
        let reader = FleetReader::start(file, &hosts)?;
        let shown = match &listen {
            MonitorAddress::Loopback(address) => format!("http://{address}/"),
            MonitorAddress::Socket(_) => listen.to_string(),
        };
        print(&format!("the fleet {} is shown at {shown} until Ctrl-C\n", reader.prefix()))?;
        let stop = async {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        };
        server.serve(reader, stop).await;
        Ok(())
    }
}

/// The longest time that an answer waits for etcd. A browser waits for eight seconds.
const PATIENCE: Duration = Duration::from_secs(4);

impl FleetPages for FleetReader {
    async fn overview(&self) -> Page {
        let Reading { mut data, .. } = Reading::clone(&*self.latest(PATIENCE).await);
        data.now = Timestamp::now();
        document(&data)
    }

    async fn report(&self, host: Option<&str>) -> Page {
        let Reading { data, report, .. } = &*self.latest(PATIENCE).await;
        let why = match (&data.error, report) {
            (None, Some(report)) => {
                return match host {
                    None => document(&**report),
                    Some(host) => document(&report_of_host(report, host)),
                };
            }
            (Some(why), _) => why,
            (None, None) => "etcd has not been read yet",
        };
        Page::text(PageStatus::Unavailable, why)
    }
}

fn document(document: &impl serde::Serialize) -> Page {
    match serde_json::to_string(document) {
        Ok(body) => Page::json(body),
        Err(error) => Page::text(PageStatus::Failed, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_other_hosts_could_reach_is_refused_with_a_way_to_reach_it() {
        for text in ["127.0.0.1:9470", "[::1]:1", "unix:/run/aop-fleet.sock"] {
            assert_eq!(address(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["0.0.0.0:9470", "192.0.2.1:9470", "[::]:9470", "9470", "localhost:9470"] {
            let why = address(text).expect_err(text);
            assert!(why.contains("only this host may reach it") && why.contains("ssh -L"), "{why}");
        }
    }
}
