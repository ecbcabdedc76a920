// A browser for the SDK: jsdom's window, cookies and CORS, a `fetch` over its XMLHttpRequest, and a log of the wire.

import { createRequire } from "node:module";

// The packages are installed outside the checkout; `require` finds them by NODE_PATH, `import` would not.
const require = createRequire(import.meta.url);
const { JSDOM, CookieJar, VirtualConsole } = require("jsdom");

const systemNow = Date.now;

export class Browser {
    constructor({ api, website }) {
        this.api = api;
        this.calls = [];
        this.jar = new CookieJar();
        this.control = globalThis.fetch;
        const console = new VirtualConsole();
        console.on("jsdomError", (error) => process.stderr.write(`${error.message}\n`));
        this.dom = new JSDOM("<!doctype html>", { url: website, cookieJar: this.jar, virtualConsole: console });
        const { window } = this.dom;
        this.window = window;
        window.fetch = this.fetchOver(window.XMLHttpRequest);
        // In a browser the window is the global object, so what the SDK puts into it is what every script calls.
        for (const name of ["document", "localStorage", "XMLHttpRequest", "fetch"]) {
            const accessors = { get: () => window[name], set: (value) => void (window[name] = value) };
            Object.defineProperty(globalThis, name, { ...accessors, configurable: true });
        }
        globalThis.window = window;
    }

    // jsdom has no fetch of its own. Its XMLHttpRequest sends preflights, keeps the cookies, and shows a script only
    // the headers that CORS exposes, so what a browser would refuse is refused here as well.
    fetchOver(XMLHttpRequest) {
        return async (resource, options) => {
            const target = resource instanceof Request ? resource : new URL(resource, this.window.location.href);
            const request = new Request(target, options);
            const body = request.body === null ? null : await request.text();
            return new Promise((resolve, reject) => {
                const xhr = new XMLHttpRequest();
                xhr.open(request.method, request.url);
                xhr.withCredentials = request.credentials === "include";
                request.headers.forEach((value, name) => xhr.setRequestHeader(name, value));
                const ended = (status) =>
                    this.calls.push({
                        call: `${request.method} ${new URL(request.url).pathname} ${status}`,
                        sent: [...request.headers.keys()],
                    });
                xhr.onload = () => {
                    ended(xhr.status);
                    resolve(responseOf(xhr));
                };
                xhr.onerror = () => {
                    ended("refused");
                    reject(new TypeError("Failed to fetch"));
                };
                xhr.send(body);
            });
        };
    }

    // Time passes for the server and the browser alike.
    async advance(seconds) {
        await this.advanceServer(seconds);
        this.alignClock();
    }

    async advanceServer(seconds) {
        const answer = await this.control(`${this.api}/advance`, { method: "POST", body: String(seconds) });
        this.serverMs = (await answer.json()).now;
    }

    // The server's clock stands still between two advances, the browser's goes on from there.
    alignClock() {
        const offset = this.serverMs - systemNow();
        Date.now = () => systemNow() + offset;
    }

    // Goes to a stub provider's page, presses the button of a persona, and comes back to the website.
    async signInAtProvider(url, persona) {
        const page = await (await this.control(url)).text();
        if (!page.includes(`value="${persona}"`)) throw new Error(`no button for ${persona} on the page`);
        const body = new URLSearchParams({ persona });
        const answer = await this.control(url, { method: "POST", body, redirect: "manual" });
        this.dom.reconfigure({ url: answer.headers.get("location") });
    }

    forgetEverything() {
        this.jar.removeAllCookiesSync();
        this.window.localStorage.clear();
        this.window.sessionStorage.clear();
        this.calls.length = 0;
    }

    // The cookies that the server set and no script can read.
    httpOnlyCookies() {
        const kept = this.jar.getCookiesSync(`${this.api}/auth/session/refresh`);
        return kept.filter((cookie) => cookie.httpOnly).map((cookie) => cookie.key).sort();
    }

    scriptCookies() {
        return this.window.document.cookie.split("; ").filter(Boolean).map((cookie) => cookie.split("=")[0]).sort();
    }
}

function responseOf(xhr) {
    const lines = xhr.getAllResponseHeaders().split("\r\n").filter(Boolean);
    const headers = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
    const body = [204, 304].includes(xhr.status) ? null : xhr.responseText;
    return new Response(body, { status: xhr.status, statusText: xhr.statusText, headers });
}
