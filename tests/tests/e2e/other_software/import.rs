//! `aop init --from-nginx` with the real nginx: `nginx -T` is read, nginx accepts the blocks for
//! the loopback, and aop serves what nginx served.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use aop_tests::child::{self, CommandOutput};
use aop_tests::{Child, IpVersion, Lab, Pull, TestDaemon, TestUpstream, wait};

use super::{Software, installed};
use crate::stage::in_lab;

const PATIENCE: Duration = Duration::from_secs(30);
const EDGE: &str = "173.245.48.7";

/// An nginx with its files below `dir`.
struct Nginx<'a> {
    lab: &'a Lab,
    dir: PathBuf,
}

impl<'a> Nginx<'a> {
    /// Writes a configuration as Debian's, with these files in `sites`.
    fn with_sites(lab: &'a Lab, sites: &[(&str, String)]) -> Result<Self> {
        let dir = lab.dir().join("nginx");
        fs::create_dir_all(dir.join("sites"))?;
        let at = dir.display();
        // Without a master it leaves no worker behind that would keep the ports.
        let main = format!(
            "user root;\ndaemon off;\nmaster_process off;\npid {at}/pid;\nevents {{}}\n\
             http {{\n  access_log off;\n  client_body_temp_path {at}/body;\n  \
             proxy_temp_path {at}/proxy;\n  fastcgi_temp_path {at}/fastcgi;\n  \
             uwsgi_temp_path {at}/uwsgi;\n  scgi_temp_path {at}/scgi;\n  include sites/*.conf;\n}}\n"
        );
        fs::write(dir.join("nginx.conf"), main)?;
        for (name, text) in sites {
            fs::write(dir.join("sites").join(name), text)?;
        }
        Ok(Self { lab, dir })
    }

    fn line(&self) -> [String; 7] {
        let (dir, file) = (self.dir.display(), self.dir.join("nginx.conf"));
        let file = file.display();
        ["nginx", "-p", &dir.to_string(), "-c", &file.to_string(), "-e", "stderr"].map(String::from)
    }

    /// Runs `nginx OPTION`, as -t or -T.
    fn asks(&self, option: &str) -> Result<CommandOutput> {
        let [program, options @ ..] = self.line();
        let mut command = self.lab.origin().command(program);
        command.args(options).arg(option);
        child::finish(command, &[], PATIENCE)?.success()
    }

    fn serves(&self, address: &str) -> Result<Child> {
        let log = self.dir.join("log");
        let child = Child::serve(self.lab.origin(), &self.line().map(PathBuf::from), &log)?;
        let address = address.parse()?;
        wait::until("nginx listens", PATIENCE, || {
            self.lab.origin().connect(address, Duration::from_secs(1)).ok()
        })?;
        Ok(child)
    }
}

/// Runs `aop init` on the origin.
fn init(lab: &Lab, arguments: &[&str], input: &[u8]) -> Result<CommandOutput> {
    let mut command = lab.origin().command(TestDaemon::prepare(lab)?.program());
    command.arg("init").args(arguments);
    child::finish(command, input, PATIENCE)
}

/// A site of files, and one that only passes requests on.
fn sites(lab: &Lab) -> [(&'static str, String); 3] {
    let pki = &lab.pki;
    let tls = |name: &str| {
        let pair = if name == "second" { &pki.second_server } else { &pki.server };
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        format!(
            "  listen 443 ssl http2;\n  listen [::]:443 ssl http2;\n  ssl_certificate \
             {certificate};\n  ssl_certificate_key {key};\n"
        )
    };
    let files = format!(
        "server {{\n  listen 80;\n  server_name example.com;\n  return 301 \
         https://$host$request_uri;\n}}\nserver {{\n{}  server_name example.com *.example.com \
         ~^a\\d+$;\n  add_header X-Port $server_port;\n  if ($scheme = http) {{ return 301 \
         https://$host$request_uri; }}\n  location / {{ include text.inc; }}\n  location = /dir {{ \
         rewrite ^ /dir/ redirect; }}\n}}\n",
        tls("first")
    );
    let passes = format!(
        "server {{\n{}  server_name example.net;\n  location / {{\n    proxy_pass \
         http://127.0.0.1:3000;\n    proxy_set_header Host $host;\n  }}\n}}\n",
        tls("second")
    );
    let unnamed = "server {\n  listen 443 ssl default_server;\n  server_name _;\n  \
                   ssl_reject_handshake on;\n}\n";
    [("files.conf", files), ("passes.conf", passes), ("unnamed.conf", unnamed.to_owned())]
}

#[test]
fn a_site_that_init_takes_from_nginx_is_served_by_aop_in_front_of_nginx() {
    if !installed(&Software::Programs(&["nginx"])) {
        return;
    }
    in_lab(|lab| {
        let nginx = Nginx::with_sites(lab, &sites(lab))?;
        fs::write(
            nginx.dir.join("text.inc"),
            "return 200 \"scheme=$scheme visitor=$remote_addr\\n\";\n",
        )?;
        let _application = TestUpstream::listening(lab, "127.0.0.1:3000")?;
        let before = nginx.serves("127.0.0.1:443")?;
        let dump = nginx.asks("-T")?;
        let file = |name: &str| lab.dir().join(name);
        fs::write(file("dump.txt"), &dump.output)?;
        let path = |name: &str| file(name).display().to_string();
        let (from, to) = (path("dump.txt"), path("aop.toml"));

        let done = init(lab, &["--from-nginx", &from, "--output", &to], &[])?;
        ensure!(done.code == 0, "{done:?}");
        let text = fs::read_to_string(file("aop.toml"))?;
        for line in [
            "mode = \"observe\"",
            "ports = [443, 8443]",
            "bind = [\"0.0.0.0:8443\", \"[::]:8443\"]",
            "hosts       = [\"example.com\", \"*.example.com\"]",
            "hosts       = [\"example.net\"]",
            "upstream    = \"http://127.0.0.1:8080\"",
            "upstream    = \"http://127.0.0.1:3000\"",
        ] {
            ensure!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        for told in ["sites/files.conf:1\n", "sites/files.conf:11\n", "sites/unnamed.conf:1\n"] {
            ensure!(done.errors.contains(told), "{told}: {}", done.errors);
        }
        let wide = |line: &&str| line.chars().count() > 80 && !line.contains('/');
        let shown = done.text() + &done.errors;
        ensure!(!shown.lines().any(|it| wide(&it)), "{shown}");

        // nginx takes the blocks beside its own, and aop the port of the trial.
        let blocks = file("nginx-loopback.conf");
        fs::copy(&blocks, nginx.dir.join("sites/aop-loopback.conf"))?;
        nginx.asks("-t")?;
        drop(before);
        let _nginx = nginx.serves("127.0.0.1:8080")?;
        let mut daemon = TestDaemon::prepare(lab)?;
        let paths = format!(
            "\n[paths]\npins = {:?}\nstate = {:?}\nruntime = {:?}\n",
            lab.bpffs().join("aop"),
            file("state"),
            file("run")
        );
        daemon.write(&(text.replace("[firewall]", &format!("{paths}\n[firewall]"))))?;
        let checked = daemon.verb(&["check"])?.success()?;
        ensure!(checked.text().contains("good: 2 sites"), "{checked:?}");
        daemon.run()?;
        for version in IpVersion::BOTH {
            let pull = Pull::by_edge(lab, version).port(8443);
            let outcome = pull.clone().path("/").send()?;
            let body = String::from_utf8_lossy(outcome.body()).into_owned();
            ensure!(outcome.served() && body.starts_with("scheme=https visitor="), "{outcome}");
            ensure!(version != IpVersion::V4 || body.contains(EDGE), "{body}");
        }
        let redirect = Pull::by_edge(lab, IpVersion::V4).port(8443).path("/dir");
        let headers = redirect.option("--include").send()?;
        let headers = String::from_utf8_lossy(headers.body()).into_owned();
        ensure!(headers.contains("location: /dir/"), "{headers}");
        ensure!(headers.contains("x-port: 443"), "{headers}");
        Pull::by_edge(lab, IpVersion::V4).port(8443).host("example.net").must_be_served()?;
        Ok(())
    });
}

#[test]
fn init_writes_nothing_over_and_nothing_at_all_from_a_text_that_is_cut() {
    in_lab(|lab| {
        let nginx = Nginx::with_sites(lab, &sites(lab))?;
        let site = nginx.dir.join("sites/passes.conf").display().to_string();
        let output = lab.dir().join("new.toml");
        let to = output.display().to_string();
        let good = init(lab, &["--from-nginx", &site, "--output", &to], &[])?;
        ensure!(good.code == 0, "{good:?}");
        let written = fs::read(&output)?;
        let again = init(lab, &["--from-nginx", &site, "--output", &to], &[])?;
        ensure!(again.code == 1 && again.errors.contains("writes over nothing"), "{again:?}");
        ensure!(fs::read(&output)? == written);

        let text = fs::read(&site)?;
        let other = lab.dir().join("other.toml");
        let to = other.display().to_string();
        let cut = init(lab, &["--from-nginx", "-", "--output", &to], &text[..text.len() - 3])?;
        ensure!(cut.code == 1 && cut.errors.contains("standard input:1: the block"), "{cut:?}");
        let missing = init(lab, &["--from-nginx", "/missing", "--output", &to], &[])?;
        ensure!(missing.code == 1 && missing.errors.contains("/missing cannot be read"));
        ensure!(!other.exists());
        Ok(())
    });
}

#[test]
fn a_site_that_aop_could_not_serve_becomes_a_comment_and_the_others_are_served() {
    in_lab(|lab| {
        let broken = |text: &str| text.replace("ssl_certificate_key ", "ssl_certificate_key /no");
        let [files, (name, passes), _] = sites(lab);
        let nginx = Nginx::with_sites(lab, &[files, (name, passes.clone())])?;
        let ca = lab.pki.client_ca.display();
        let strict =
            format!("ssl_verify_client on;\n  ssl_client_certificate {ca};\n  server_name");
        let input = broken(&passes)
            + &passes.replace("server_name example.net", &format!("{strict} www.example.net"));
        let to = nginx.dir.join("new.toml");
        let to = to.display().to_string();
        let done = init(lab, &["--from-nginx", "-", "--output", &to, "--json"], input.as_bytes())?;
        ensure!(done.code == 0, "{done:?}");
        let report = done.json()?;
        let [unusable, usable] = [&report["proposed"][0], &report["proposed"][1]];
        ensure!(unusable["unusable"].as_str().is_some_and(|it| it.contains("/no")), "{report}");
        ensure!(usable["unusable"].is_null() && usable["observes"] == false, "{report}");
        ensure!(report["written"] == true && report["check"]["good"] == true, "{report}");
        let text = fs::read_to_string(Path::new(&to))?;
        ensure!(text.contains("\n#hosts       = [\"example.net\"]\n"), "{text}");
        ensure!(text.contains("\nhosts       = [\"www.example.net\"]\n"), "{text}");
        ensure!(text.contains(&format!("client_ca   = [\"{ca}\"]")), "{text}");
        ensure!(!text.contains("\non_refusal"), "{text}");
        Ok(())
    });
}

#[test]
fn without_a_source_the_configuration_has_the_first_lock_and_the_interfaces_of_the_host() {
    in_lab(|lab| {
        let done = init(lab, &["--output", "-"], &[])?.success()?;
        let text = done.text();
        ensure!(text.contains("mode = \"observe\"") && text.contains("ports = [443]"), "{text}");
        ensure!(text.contains("\ninterfaces = [\""), "{text}");
        ensure!(!text.contains("\n[[site]]") && text.contains("\n#[[site]]"), "{text}");
        let daemon = TestDaemon::prepare(lab)?;
        daemon.write(&text)?;
        daemon.verb(&["check"])?.success()?;
        let json = init(lab, &["--output", "-", "--json"], &[])?;
        ensure!(json.code == 1 && json.output.is_empty(), "{json:?}");
        Ok(())
    });
}

/// The files of certbot, in an /etc of its own above that of this host.
const CERTBOT: &str = r#"
program=$1 certificate=$2 key=$3 dir=$4
mkdir "$dir" && mount -t tmpfs tmpfs "$dir" && mkdir "$dir/upper" "$dir/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$dir/upper,workdir=$dir/work" /etc
rm -rf /etc/letsencrypt
for name in example.com broken; do
    mkdir -p /etc/letsencrypt/archive/$name /etc/letsencrypt/live/$name
    for file in fullchain privkey; do
        ln -s ../../archive/$name/${file}1.pem /etc/letsencrypt/live/$name/$file.pem
    done
done
cp "$certificate" /etc/letsencrypt/archive/example.com/fullchain1.pem
cp "$key" /etc/letsencrypt/archive/example.com/privkey1.pem
echo text > /etc/letsencrypt/archive/broken/fullchain1.pem
echo text > /etc/letsencrypt/live/README
"$program" init --output /etc/proposed.toml
cat /etc/proposed.toml
# The second lock, out of its comments.
sed -i '/^#\[\[listener/,$ s/^#//' /etc/proposed.toml
"$program" check --files --config /etc/proposed.toml
"#;

#[test]
fn certificates_of_certbot_are_proposed_as_comments_that_pass_the_check() {
    in_lab(|lab| {
        let daemon = TestDaemon::prepare(lab)?;
        let mut command = lab.origin().command("unshare");
        command.args(["--mount", "sh", "-ec", CERTBOT, "sh"]).arg(daemon.program());
        command.arg(&lab.pki.server.certificate).arg(&lab.pki.server.key);
        command.arg(lab.dir().join("etc"));
        let done = child::finish(command, &[], PATIENCE)?.success()?;
        let text = done.text();
        for line in [
            "#hosts       = [\"example.com\", \"*.example.com\"]",
            "#certificate = \"/etc/letsencrypt/live/example.com/fullchain.pem\"",
            "#key         = \"/etc/letsencrypt/live/example.com/privkey.pem\"",
        ] {
            ensure!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        ensure!(text.matches("#[[site]]").count() == 1, "one certificate is none:\n{text}");
        ensure!(text.contains("certbot has 1 certificate: a site for each is in it"), "{text}");
        ensure!(text.contains("good: 1 site"), "{text}");
        Ok(())
    });
}
