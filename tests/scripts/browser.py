"""A page in Chromium, driven through its debugging protocol, and the cases that every page of aop
passes: its policy, its colours and widths, and no answer.

A script prints `loaded` once its test may act, a line for each case, and leaves screenshots in
--folder.
"""

import argparse
import asyncio
import base64
import json
import pathlib
import subprocess
import time
import urllib.parse
import urllib.request

import websockets

PATIENCE = 60
# Flags: root runs the browser, in a namespace without the internet. `foreign.example` stands for
# the name of an attacker that resolves to the loopback (DNS rebinding).
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP foreign.example 127.0.0.1",
    "about:blank",
]


class Browser:
    """One tab, and everything that its console and its log say."""

    def __init__(self, socket):
        self.socket, self.number, self.answers, self.said = socket, 0, {}, []
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
            elif message["method"] == "Log.entryAdded":
                entry = message["params"]["entry"]
                self.said.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
            elif message["method"] == "Runtime.exceptionThrown":
                self.said.append(f"exception: {message['params']['exceptionDetails']}")
            elif message["method"] == "Runtime.consoleAPICalled":
                self.said.append(f"console: {message['params']['args']}")

    async def call(self, method, **params):
        self.number += 1
        answer = self.answers[self.number] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, PATIENCE)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    async def value(self, expression):
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                                 awaitPromise=True)
        if "exceptionDetails" in answer:
            return f"exception: {answer['exceptionDetails']['exception'].get('description')}"
        return answer["result"].get("value")

    async def until(self, what, expression, holds=bool):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            value = await self.value(expression)
            # The document may still be loading.
            if not str(value).startswith("exception: ") and holds(value):
                return value
            await asyncio.sleep(0.2)
        raise RuntimeError(f"{what}: {expression} stays {value!r}")

    async def open(self, url):
        await self.call("Page.navigate", url=url)

    async def shoot(self, folder, name, width, height):
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                        deviceScaleFactor=1, mobile=width < 600)
        await asyncio.sleep(0.4)
        size = await self.call("Page.getLayoutMetrics")
        content = size["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width, "height": content["height"], "scale": 1}
        image = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        (folder / f"{name}.png").write_bytes(base64.b64decode(image["data"]))
        return content

    async def media(self, **features):
        features = [{"name": name.replace("_", "-"), "value": value}
                    for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=features)


WORD = "document.querySelector('#verdict .word').textContent"


async def the_page_overflows_at_no_width(tab, options):
    for width, height in ((1440, 900), (1000, 800), (768, 1024), (390, 844), (320, 568)):
        await tab.shoot(options.folder, f"light-{width}", width, height)
        wide = await tab.value("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels at a width of {width}"


async def dark_and_light_differ_and_both_can_be_read(tab, options):
    pairs = {}
    for scheme in ("light", "dark"):
        await tab.media(prefers_color_scheme=scheme)
        await tab.shoot(options.folder, scheme, 1280, 900)
        pairs[scheme] = await tab.value(CONTRASTS)
        low = {name: ratio for name, ratio in pairs[scheme].items() if ratio < 4.5}
        assert not low, f"{scheme}: {low}"
    await tab.shoot(options.folder, "dark-390", 390, 844)
    await tab.media(prefers_color_scheme="light")
    assert pairs["light"] != pairs["dark"], pairs


# The contrast of each text colour on a card (WCAG 2.2, 1.4.3: at least 4.5).
CONTRASTS = """(() => {
  const canvas = document.createElement('canvas').getContext('2d');
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    canvas.fillStyle = style.getPropertyValue(name).trim();
    const channels = [1, 3, 5].map((at) => parseInt(canvas.fillStyle.slice(at, at + 2), 16) / 255);
    const [r, g, b] = channels.map((c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const found = {};
  for (const name of ['--text', '--mute', '--drop', '--pass', '--good', '--warn', '--crit'])
    for (const ground of ['--card', '--page']) {
      const both = [light(name), light(ground)].sort((a, b) => b - a);
      found[name + ' on ' + ground] = (both[0] + .05) / (both[1] + .05);
    }
  return found;
})()"""


async def the_policy_stops_scripts_markup_and_other_hosts(tab, options):
    silent = list(tab.said)
    made = await tab.value("document.body.innerHTML = '<b>x</b>'")
    assert str(made).startswith("exception: TypeError"), made
    await tab.value("(() => { const it = document.createElement('style');"
                    "it.textContent = 'body { display: none }'; document.head.append(it); })()")
    assert await tab.value("getComputedStyle(document.body).display") == "block"
    sent = await tab.value("fetch('http://127.0.0.1:1/').then(() => 'sent', (e) => e.message)")
    assert sent != "sent", sent
    blocked = [line for line in tab.said[len(silent):] if "Content Security Policy" in line]
    assert len(blocked) >= 2, tab.said[len(silent):]
    tab.said[:] = silent


async def a_foreign_name_reaches_no_data(tab, options):
    port = urllib.parse.urlsplit(options.url).port
    silent = list(tab.said)
    for path in ("", "page.json", *options.paths):
        await tab.open(f"http://foreign.example:{port}/{path}")
        text = await tab.until("the refusal", "document.body && document.body.textContent",
                               lambda text: text and "http://localhost" in text)
        assert "version" not in text, text
    await tab.open(options.url)
    await tab.until("data arrives", f"{WORD}.includes('LOADING') ? '' : {WORD}")
    tab.said[:] = silent


async def without_an_answer_the_old_verdict_is_gone(tab, options):
    silent, before = list(tab.said), await tab.value(WORD)
    link = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await tab.call("Network.emulateNetworkConditions", offline=True, **link)
    await tab.until("it is told", WORD, lambda word: "NO ANSWER" in word)
    await tab.shoot(options.folder, "no-answer", 1280, 900)
    await tab.call("Network.emulateNetworkConditions", offline=False, **link)
    await tab.until("it is back", WORD, lambda word: word == before)
    tab.said[:] = silent


async def the_console_stays_silent(tab, options):
    assert not tab.said, tab.said


async def run(options, port, cases, needed):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as listed:
        page = next(it for it in json.load(listed) if it["type"] == "page")
    async with websockets.connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
        tab = Browser(socket)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        for case in cases:
            try:
                await case(tab, options)
                print(f"ok {case.__name__}", flush=True)
            except Exception as error:
                print(f"failed {case.__name__}: {error!r}", flush=True)
                if case in needed:
                    print(await tab.value("document.body.innerText"), tab.said, flush=True)
        tab.reader.cancel()


def devtools_port(profile, process):
    file, begun = profile / "DevToolsActivePort", time.monotonic()
    while time.monotonic() - begun < PATIENCE and process.poll() is None:
        if file.is_file() and (lines := file.read_text().split()):
            return int(lines[0])
        time.sleep(0.1)
    raise SystemExit(f"failed browser: it does not start: {process.poll()}")


def main(cases, needed, paths=(), **numbers):
    """Runs `cases` in a browser. Those that are `needed` by others say more when they fail. `paths`
    are further places of data, and `numbers` further arguments with their defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--browser", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--hostile", default="")
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    options.paths = paths
    profile = options.folder / "profile"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "DevToolsActivePort").unlink(missing_ok=True)
    with open(options.folder / "browser.log", "wb") as log:
        line = [options.browser, f"--user-data-dir={profile}", *FLAGS]
        process = subprocess.Popen(line, stdout=log, stderr=log)
        try:
            asyncio.run(run(options, devtools_port(profile, process), cases, needed))
        finally:
            process.terminate()
            process.wait(PATIENCE)
