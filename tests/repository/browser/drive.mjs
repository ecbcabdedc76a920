// Drives supertokens-web-js against a server: `node drive.mjs API WEBSITE cookie|header`; one JSON line per scenario.

import { createRequire } from "node:module";
import { Browser } from "./browser.mjs";

const require = createRequire(import.meta.url);
const [api, website, mode] = process.argv.slice(2);
const HOUR = 3600;
const SCENARIO_MS = 15_000;
const PASSWORD = "correct horse 1";

const browser = new Browser({ api, website });
const events = [];

const SuperTokens = require("supertokens-web-js").default;
const Session = require("supertokens-web-js/recipe/session");
const EmailPassword = require("supertokens-web-js/recipe/emailpassword");
const ThirdParty = require("supertokens-web-js/recipe/thirdparty");

SuperTokens.init({
    appInfo: { appName: "Browser", apiDomain: api, apiBasePath: "/auth" },
    recipeList: [
        Session.init({
            tokenTransferMethod: mode,
            onHandleEvent: ({ userContext, ...event }) => events.push(event),
        }),
        EmailPassword.init(),
        ThirdParty.init(),
    ],
});

const SecondFactorClaim = new Session.BooleanClaim({ id: "2fa-completed", refresh: async () => {} });
const hasSecondFactor = SecondFactorClaim.validators.isTrue(HOUR);

// What a page does

let visitors = 0;
let email;

const form = (fields) => ({ formFields: Object.entries(fields).map(([id, value]) => ({ id, value })) });
const signUp = () => EmailPassword.signUp(form({ email, password: PASSWORD }));
const signIn = (password = PASSWORD) => EmailPassword.signIn(form({ email, password }));
const payload = () => Session.getAccessTokenPayloadSecurely();
const claim = async () => (await payload())["2fa-completed"];

async function call(method, path) {
    const response = await window.fetch(api + path, { method });
    const text = await response.text();
    let body = text;
    try {
        body = JSON.parse(text);
    } catch {
        // Not JSON: the text itself is what is reported.
    }
    return { status: response.status, body };
}

function callByXhr(method, path) {
    return new Promise((resolve, reject) => {
        const xhr = new window.XMLHttpRequest();
        xhr.open(method, api + path);
        xhr.onload = () => resolve({ status: xhr.status, body: JSON.parse(xhr.responseText) });
        xhr.onerror = () => reject(new Error("XMLHttpRequest failed"));
        xhr.send();
    });
}

// Runs `act`; what it returned comes with the calls it made and the events it caused.
async function watched(act) {
    browser.calls.length = 0;
    events.length = 0;
    const result = await act().then(
        (value) => ({ value }),
        (error) => ({ rejected: String(error?.message ?? error?.status ?? error) }),
    );
    return {
        ...result,
        calls: browser.calls.map((made) => made.call),
        sent: [...new Set(browser.calls.flatMap((made) => made.sent))].sort(),
        events: [...events],
        httpOnlyCookies: browser.httpOnlyCookies(),
        scriptCookies: browser.scriptCookies(),
    };
}

// A visitor who signed up: most scenarios begin here.
async function signedUp() {
    const { status } = await signUp();
    if (status !== "OK") throw new Error(`sign-up answered ${status}`);
}

const scenarios = {
    first_visit: async () => ({
        first: await watched(() => Session.doesSessionExist()),
        second: await watched(() => Session.doesSessionExist()),
    }),

    sign_up: async () => {
        const signing = await watched(signUp);
        const { status, user } = signing.value;
        return {
            signing: { ...signing, value: { status, user } },
            session: await watched(() => Session.doesSessionExist()),
            userId: await Session.getUserId(),
            hasAccessToken: typeof (await Session.getAccessToken()) === "string",
            again: (await signUp()).status,
            emailExists: (await EmailPassword.doesEmailExist({ email })).doesExist,
        };
    },

    sign_in: async () => {
        await signedUp();
        await call("POST", "/second-factor");
        await Session.signOut();
        const wrong = await watched(async () => (await signIn("wrong horse 1")).status);
        const right = await watched(async () => (await signIn()).status);
        return { wrong, right, me: await call("GET", "/me"), userId: await Session.getUserId(), claim: await claim() };
    },

    third_party: async () => {
        const signInAtGoogle = async () => {
            const thirdPartyId = "google";
            const frontendRedirectURI = `${website}/auth/callback/${thirdPartyId}`;
            const url = await ThirdParty.getAuthorisationURLWithQueryParamsAndSetState({ thirdPartyId, frontendRedirectURI });
            await browser.signInAtProvider(url, "1001");
            const { status, user, createdNewRecipeUser } = await ThirdParty.signInAndUp();
            return { status, user, createdNewRecipeUser };
        };
        const first = await watched(signInAtGoogle);
        const facts = { first, userId: await Session.getUserId(), claim: await claim() };
        await Session.signOut();
        return { ...facts, second: await watched(signInAtGoogle), me: await call("GET", "/me") };
    },

    claim: async () => {
        await signedUp();
        return {
            claim: await claim(),
            value: await Session.getClaimValue({ claim: SecondFactorClaim }),
            failures: await Session.validateClaims({ overrideGlobalClaimValidators: () => [hasSecondFactor] }),
        };
    },

    forbidden: async () => {
        await signedUp();
        const refused = await watched(() => call("GET", "/second-factor-only"));
        const response = await window.fetch(`${api}/second-factor-only`);
        const read = await Session.getInvalidClaimsFromResponse({ response });
        return { refused, read, plain: await watched(() => call("GET", "/forbidden")) };
    },

    claim_set: async () => {
        await signedUp();
        const setting = await watched(() => call("POST", "/second-factor"));
        return {
            setting,
            claim: await claim(),
            value: await Session.getClaimValue({ claim: SecondFactorClaim }),
            failures: await Session.validateClaims({ overrideGlobalClaimValidators: () => [hasSecondFactor] }),
            open: await watched(() => call("GET", "/second-factor-only")),
        };
    },

    refresh_on_401: async () => {
        await signedUp();
        await call("POST", "/second-factor");
        await browser.advance(HOUR + 1);
        const expired = await watched(() => call("GET", "/second-factor-only"));
        return { expired, after: await watched(() => call("GET", "/second-factor-only")), claim: await claim() };
    },

    refresh_before_reading: async () => {
        await signedUp();
        await browser.advance(HOUR + 1);
        return {
            first: await watched(() => Session.doesSessionExist()),
            second: await watched(() => Session.doesSessionExist()),
        };
    },

    refresh_by_xhr: async () => {
        await signedUp();
        await browser.advance(HOUR + 1);
        return { expired: await watched(() => callByXhr("GET", "/me")), userId: await Session.getUserId() };
    },

    parallel_calls: async () => {
        await signedUp();
        await browser.advance(HOUR + 1);
        const together = () => Promise.all(Array.from({ length: 10 }, () => call("GET", "/me")));
        return { parallel: await watched(async () => (await together()).map(({ status }) => status)) };
    },

    by_handle: async () => {
        await signedUp();
        await call("POST", "/role-by-handle");
        const before = (await payload()).role ?? null;
        const refreshed = await Session.attemptRefreshingSession();
        return { before, refreshed, after: (await payload()).role ?? null };
    },

    many_refreshes: async () => {
        await signedUp();
        return {
            blind: await watched(() => call("GET", "/always-401")),
            verifying: await watched(() => call("GET", "/always-401-verified")),
            after: await watched(() => call("GET", "/me")),
        };
    },

    revoked: async () => {
        await signedUp();
        await call("POST", "/revoke-by-handle");
        await browser.advance(HOUR + 1);
        const calling = await watched(() => call("GET", "/me"));
        return { calling, session: await watched(() => Session.doesSessionExist()) };
    },

    sign_out: async () => {
        await signedUp();
        const leaving = await watched(() => Session.signOut());
        const session = await watched(() => Session.doesSessionExist());
        const hasAccessToken = typeof (await Session.getAccessToken()) === "string";
        return { leaving, session, hasAccessToken, calling: await watched(() => call("GET", "/me")) };
    },

    sign_out_expired: async () => {
        await signedUp();
        await browser.advance(HOUR + 1);
        return { leaving: await watched(() => Session.signOut()) };
    },

    cookies_deleted: async () => {
        await signedUp();
        browser.forgetEverything();
        return { calling: await watched(() => call("GET", "/me")) };
    },

    server_ahead: async () => {
        try {
            await browser.advanceServer(5 * HOUR);
            await signedUp();
            return {
                session: await watched(() => Session.doesSessionExist()),
                calling: await watched(() => call("GET", "/me")),
            };
        } finally {
            browser.alignClock();
        }
    },
};

// An SDK that loops for ever would leave the next scenarios no clean browser: its own is the last one told.
function inTime(scenario, running) {
    return new Promise((resolve, reject) => {
        const late = () => {
            const calls = browser.calls.slice(-6).map((made) => made.call);
            const error = `not done after ${SCENARIO_MS} ms; last calls: ${calls.join(", ")}`;
            process.stdout.write(`${JSON.stringify({ scenario, error })}\n`, () => process.exit(1));
        };
        const timer = setTimeout(late, SCENARIO_MS);
        running.then(resolve, reject).finally(() => clearTimeout(timer));
    });
}

await browser.advance(0);
for (const [scenario, run] of Object.entries(scenarios)) {
    browser.forgetEverything();
    email = `visitor-${(visitors += 1)}@example.com`;
    let line;
    try {
        line = { scenario, facts: await inTime(scenario, run()) };
    } catch (error) {
        line = { scenario, error: error?.stack ?? String(await error?.text?.() ?? error) };
    }
    process.stdout.write(`${JSON.stringify(line)}\n`);
}
browser.window.close();
