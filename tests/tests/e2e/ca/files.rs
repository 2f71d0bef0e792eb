//! The files, their permissions, what is printed, and passphrases.

use std::os::unix::fs::{MetadataExt, symlink};

use aop_tests::Terminal;

use super::*;
use crate::documented_json::is_documented;

#[test]
fn keys_are_for_their_owner_and_certificates_for_everybody() {
    in_folder(|folder| {
        let mode = |name: &str| anyhow::Ok(fs::metadata(folder.path(name))?.mode() & 0o7777);
        folder.aop("create --out new/deep")?;
        ensure!((mode("new")?, mode("new/deep.key")?) == (0o700, 0o600));
        folder.aop("create --out new/named.pem")?;
        ensure!(folder.path("new/named.key").exists() && folder.path("new/named.pem").exists());
        // Whatever the umask of the shell is.
        for umask in ["000", "077"] {
            let out = format!("umask-{umask}");
            let line = format!("umask {umask}; exec {:?} ca create --out {out}", folder.program);
            let mut shell = Command::new("sh");
            shell.args(["-c", &line]).current_dir(&folder.path);
            child::finish(shell, &[], PATIENCE)?.success()?;
            ensure!(mode(&format!("{out}.key"))? == 0o600, "umask {umask}");
            ensure!(mode(&format!("{out}.pem"))? == 0o644, "umask {umask}");
        }
        folder.aop("request --host a.example.com --out asked")?;
        ensure!((mode("asked.key")?, mode("asked.csr")?) == (0o600, 0o644));
        Ok(())
    });
}

#[test]
fn no_file_is_written_over_and_no_half_of_a_pair_is_left() {
    in_folder(|folder| {
        folder.aop("create")?;
        folder.aop("issue --ca pull-ca.pem --host a.example.com")?;
        folder.refuses("create", &["pull-ca.pem exists", "--out PATH"])?;
        folder.refuses("issue --ca pull-ca.pem --host a.example.com", &["pull.pem exists"])?;
        folder.refuses("request --host a.example.com", &["pull.key exists"])?;
        for (name, extension) in [("certificate", "pem"), ("key", "key"), ("link", "pem")] {
            let path = folder.path(&format!("{name}.{extension}"));
            match name {
                "link" => symlink("nowhere", path)?,
                _ => fs::write(path, "mine")?,
            }
            let line = format!("create --out {name}");
            folder.refuses(&line, &[&format!("{name}.{extension} exists")])?;
        }
        ensure!(!folder.path("nowhere").exists());
        Ok(())
    });
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    in_folder(|folder| {
        fs::create_dir(folder.path("shared"))?;
        fs::create_dir(folder.path("shared/mine"))?;
        for out in ["shared/", "shared/mine/"] {
            chmod(&folder.path("shared"), 0o777)?;
            let cure = ["chmod go-w", "/ca/shared`", "exchange the files"];
            folder.refuses(&format!("create --out {out}"), &cure)?;
            chmod(&folder.path("shared"), 0o755)?;
            folder.aop(&format!("create --out {out}"))?;
        }
        nix::unistd::chown(&folder.path("shared"), Some(65534.into()), None)?;
        let owner = ["belongs to another user (uid 65534)", "needs no root"];
        folder.refuses("create --out shared/two", &owner)
    });
}

#[test]
fn the_documents_have_what_is_printed_and_nothing_of_a_key() {
    in_folder(|folder| {
        folder.write("pass", "correct horse\n")?;
        let made = folder.json("create --host example.com --passphrase-file pass")?;
        ensure!(made["encrypted"] == true && made["certificate"]["ca"] == true, "{made}");
        ensure!(made["certificate"]["permitted"] == serde_json::json!(["example.com"]), "{made}");
        ensure!(made["certificate"]["key_in"] == "pull-ca.key", "{made}");
        let line = "issue --ca pull-ca.pem --host a.example.com --passphrase-file pass --days 30";
        let issued = folder.json(line)?;
        ensure!(issued["certificate"]["days_left"] == 29, "{issued}");
        ensure!(issued["certificate"]["upload"]["fits"] == true, "{issued}");
        let asked = folder.json("request --host b.example.com --out asked")?;
        ensure!(asked["request_file"] == "asked.csr" && asked["certificate"].is_null(), "{asked}");

        let files = "pull-ca.pem pull-ca.key pull.pem pull.key asked.csr asked.key";
        let shown = folder.json(&format!("show {files}"))?;
        let files = shown["files"].as_array().context("no files")?;
        ensure!(files[0]["certificates"][0]["client_ca"]["fits"] == true, "{shown}");
        ensure!(files[1]["keys"][0]["encrypted"] == true, "{shown}");
        ensure!(files[2]["certificates"][0]["key_in"] == "pull.key", "{shown}");
        ensure!(files[4]["requests"][0]["key_in"] == "asked.key", "{shown}");
        let fingerprint = folder.openssl("x509 -in pull.pem -noout -fingerprint -sha256")?;
        let ours = files[2]["certificates"][0]["fingerprint"].as_str().context("none")?;
        let theirs = fingerprint.trim().rsplit('=').next().context("none")?.replace(':', "");
        ensure!(theirs.eq_ignore_ascii_case(ours), "{fingerprint}");

        for document in [&made, &issued, &asked, &shown] {
            is_documented(document)?;
        }
        let text = folder.aop("show pull-ca.pem pull.pem pull.key asked.csr pull-ca.key")?;
        for words in [
            "pull-ca.pem: certificate of a CA",
            "may sign    example.com and names below; no other CA",
            "pull.pem: certificate of a leaf",
            "key         ECDSA P-256, in pull.key",
            "valid       ",
            "29 days left",
            "asked.csr: request for a certificate",
            "issue       yes: its signature fits its key",
            "under a passphrase",
        ] {
            ensure!(text.contains(words), "no {words:?} in {text}");
        }
        ensure!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for key in ["pull.key", "asked.key"] {
            let secret = folder.read(key)?;
            let secret = secret.lines().nth(2).context("no base64")?;
            for printed in [&text, &shown.to_string(), &made.to_string(), &issued.to_string()] {
                ensure!(!printed.contains(secret), "{key} is in {printed}");
            }
        }
        Ok(())
    });
}

#[test]
fn a_passphrase_comes_from_a_file_a_credential_or_a_terminal() {
    in_folder(|folder| {
        folder.write("pass", "correct horse\nmore\n")?;
        folder.write("wrong", "correct house\n")?;
        folder.write("short", "seven77\n")?;
        folder.write("empty", "\n")?;
        folder.aop("create --passphrase-file pass")?;
        ensure!(folder.read("pull-ca.key")?.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        folder.openssl("pkey -in pull-ca.key -passin file:pass -noout")?;

        let issue = |more: &str| format!("issue --ca pull-ca.pem --host a.example.com {more}");
        folder.aop(&issue("--passphrase-file pass --out by-file"))?;
        let ways = ["--passphrase-file", "credential ca-passphrase", "terminal"];
        folder.refuses(&issue("--out none"), &ways)?;
        let wrong = ["pull-ca.key: does not open with this passphrase"];
        folder.refuses(&issue("--passphrase-file wrong --out none"), &wrong)?;
        folder.refuses(&issue("--passphrase-file empty --out none"), &["empty: its first line"])?;
        folder.refuses("create --out none --passphrase-file short", &["less than 8 bytes"])?;
        chmod(&folder.path("pass"), 0o640)?;
        let open = ["pass can be read by other users", "chmod 600 pass"];
        folder.refuses(&issue("--passphrase-file pass --out none"), &open)?;

        fs::create_dir(folder.path("credentials"))?;
        fs::copy(folder.path("pass"), folder.path("credentials/ca-passphrase"))?;
        let by = |line: &str| {
            let mut command = folder.command(&folder.program, &format!("ca {line}"));
            command.env("CREDENTIALS_DIRECTORY", folder.path("credentials"));
            child::finish(command, &[], PATIENCE)
        };
        by(&issue("--out by-credential"))?.success()?;
        by("create --passphrase --out second")?.success()?;
        let opened = folder.openssl("pkey -in second.key -passin pass:correct\\040horse -noout");
        ensure!(opened.is_err(), "another passphrase");
        folder.write("pass", "correct horse\n")?;
        folder.openssl("pkey -in second.key -passin file:pass -noout")?;
        Ok(())
    });
}

#[test]
fn a_passphrase_is_asked_for_without_echo() {
    in_folder(|folder| {
        let open = |line: &str, name: &str| {
            let mut script = Command::new("script");
            script.current_dir(&folder.path);
            let line = format!("{:?} ca {line}", folder.program);
            Terminal::open(script, &line, &folder.path(name))
        };
        let mut make = open("create --passphrase", "make")?;
        make.shows("New passphrase of pull-ca.key: ", PATIENCE)?;
        make.press("typed words\n")?;
        make.shows("The same again: ", PATIENCE)?;
        make.press("typed words\n")?;
        ensure!(make.end(PATIENCE)?.success(), "{}", make.seen());
        folder.write("pass", "typed words\n")?;
        folder.openssl("pkey -in pull-ca.key -passin file:pass -noout")?;

        let mut issue = open("issue --ca pull-ca.pem --host a.example.com", "issue")?;
        issue.shows("Passphrase of pull-ca.key: ", PATIENCE)?;
        issue.press("typed words\n")?;
        ensure!(issue.end(PATIENCE)?.success(), "{}", issue.seen());
        for seen in [make.seen(), issue.seen()] {
            ensure!(!seen.contains("typed words"), "{seen}");
        }

        let mut differ = open("create --passphrase --out two; stty -a", "differ")?;
        differ.shows("New passphrase of two.key: ", PATIENCE)?;
        differ.press("typed words\n")?;
        differ.shows("The same again: ", PATIENCE)?;
        differ.press("typed word\n")?;
        differ.end(PATIENCE)?;
        let seen = differ.seen();
        ensure!(seen.contains("the two passphrases differ") && !folder.path("two.key").exists());
        // The terminal shows again what is typed.
        ensure!(seen.contains(" echo "), "{seen}");
        Ok(())
    });
}
