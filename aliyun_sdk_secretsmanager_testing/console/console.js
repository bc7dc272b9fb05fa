"use strict";

// What comes from the cloud is only ever set as textContent, so that a name that looks like HTML stays text.

const MOST_CALLS = 200;
const PAUSE = 1000; // milliseconds between two questions
const PATIENCE = 10000; // milliseconds for an answer
const MESSAGE = 6000; // milliseconds for which a message is shown

const SERVICES = {
  secrets_manager: "Secrets Manager",
  dedicated: "KMS instance",
  api: "RPC and ROA APIs",
  oss: "OSS",
  location: "Location service",
  sts: "STS",
  metadata: "Instance metadata",
  credentials_uri: "Credentials URI",
};

const element = (id) => document.getElementById(id);
const part = (parent, name) => parent.querySelector(`[data-part="${name}"]`);
const placeName = ({service, region}) => SERVICES[service] + (region ? `, ${region}` : "");
const clockTime = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], {hourCycle: "h23"});

let cursor = 0;
let calls = []; // the newest first
let wake = () => {};
let messageTimer = 0;

function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

// Make the children of a list show these items in this order. A child stays as long as its item, and so keeps its focus.
function show(list, items, keyOf, template, update) {
  const keys = new Set(items.map(keyOf));
  const children = new Map();
  for (const child of [...list.children]) {
    if (keys.has(child.dataset.key)) {
      children.set(child.dataset.key, child);
    } else {
      child.remove();
    }
  }
  items.forEach((item, at) => {
    let child = children.get(keyOf(item));
    if (!child) {
      child = element(template).content.firstElementChild.cloneNode(true);
      child.dataset.key = keyOf(item);
    }
    update(child, item);
    if (list.children[at] !== child) {
      list.insertBefore(child, list.children[at] || null);
    }
  });
}

function showSecrets({secrets, secret_count: count}) {
  element("no-secrets").hidden = count > 0;
  element("more-secrets").hidden = count <= secrets.length;
  setText(element("more-secrets"), `The first ${secrets.length} of ${count} secrets.`);
  show(element("secrets"), secrets, (secret) => secret.name, "secret", showSecret);
}

function showSecret(item, secret) {
  const rotate = item.querySelector("[data-do=rotate]");
  const older = secret.version_count - secret.versions.length;
  setText(part(item, "name"), secret.name);
  setText(part(item, "note"), [
    secret.type === "RAMCredentials" ? "" : `Type ${secret.type}.`,
    older ? `The last ${secret.versions.length} of ${secret.version_count} versions.` : "",
  ].join(" ").trim());
  rotate.hidden = !secret.rotates;
  rotate.dataset.secret = secret.name;
  rotate.setAttribute("aria-label", `Rotate ${secret.name}`);
  show(item.querySelector("ul"), secret.versions, (version) => version.version_id, "version", (child, version) =>
    showVersion(child, version, secret.name));
}

function showVersion(item, version, secret) {
  const button = item.querySelector("button");
  const disabled = version.state === "disabled";
  setText(part(item, "number"), `Version ${version.number}`);
  setText(part(item, "key"), version.key || "no AccessKey");
  setText(part(item, "state"), version.state || "");
  setText(part(item, "stage"), version.stage || "");
  setText(part(item, "created"), clockTime(version.created));
  part(item, "state").dataset.state = version.state || "";
  button.hidden = !disabled && version.state !== "accepted";
  button.dataset.do = disabled ? "enable" : "disable";
  button.dataset.secret = secret;
  button.dataset.version = version.version_id;
  button.title = disabled ? "Services accept the key again." : "Services reject the key, as after a leak.";
  setText(button, disabled ? "Enable" : "Disable");
  button.setAttribute("aria-label", `${disabled ? "Enable" : "Disable"} version ${version.number} of ${secret}`);
}

function showPlaces({places}) {
  const regions = places.filter(({service}) => service === "secrets_manager").length;
  const options = regions > 1 ? [{service: "secrets_manager", region: null}, ...places] : places;
  show(element("place"), options, JSON.stringify, "option", (option, place) => {
    option.value = JSON.stringify(place);
    setText(option, placeName(place) + (place.service === "secrets_manager" && !place.region ? ", all regions" : ""));
  });
}

function showFaults({faults}) {
  const places = new Map();
  for (const fault of faults) {
    const key = JSON.stringify([fault.service, fault.region]);
    places.set(key, [...(places.get(key) || []), fault]);
  }
  element("no-faults").hidden = faults.length > 0;
  show(element("faults"), [...places.values()], ([{service, region}]) => JSON.stringify([service, region]), "fault",
    (item, ofPlace) => {
      const button = item.querySelector("button");
      setText(part(item, "place"), placeName(ofPlace[0]));
      setText(part(item, "what"), ofPlace.map(faultText).join("; then "));
      button.dataset.place = JSON.stringify({service: ofPlace[0].service, region: ofPlace[0].region});
      button.setAttribute("aria-label", `End the faults of ${placeName(ofPlace[0])}`);
    });
}

function faultText({kind, settings, times, until}) {
  const kinds = {
    status: () => `outage (${settings.status} ${settings.code})`,
    slow: () => `slow by ${settings.seconds} s`,
    throttling: () => "throttled",
  };
  return (kinds[kind] || (() => kind.replaceAll("_", " ")))() +
    (times ? ` for ${times} more ${times === 1 ? "request" : "requests"}` : "") +
    (until ? ` until ${clockTime(until)}` : "");
}

function showCalls(changed) {
  if (!changed.length) {
    return;
  }
  const known = new Map([...calls, ...changed].map((call) => [call.number, call]));
  calls = [...known.values()].sort((one, other) => other.number - one.number).slice(0, MOST_CALLS);
  const count = calls[0].number + 1;
  element("no-calls").hidden = true;
  element("calls-table").hidden = false;
  setText(element("call-count"), count > calls.length ?
    `the last ${calls.length} of ${count.toLocaleString("en")}` : `${count}`);
  show(element("calls"), calls, (call) => String(call.number), "call", showCall);
}

function showCall(row, call) {
  const answer = call.status || call.code ? `${call.status || "no answer"} ${call.code}`.trim() : "waiting";
  setText(part(row, "time"), clockTime(call.at));
  setText(part(row, "service"), placeName(call));
  setText(part(row, "action"), call.action);
  setText(part(row, "secret"), call.secret || "");
  setText(part(row, "key"), call.key || "");
  setText(part(row, "signer"), call.signer || (call.key ? "" : "not signed"));
  setText(part(row, "answer"), answer + (call.given ? `, gave ${call.given}` : ""));
  row.dataset.result = answer === "waiting" ? "waiting" : call.status && call.status < 400 ? "good" : "bad";
}

async function ask(path, options) {
  const response = await fetch(path, {signal: AbortSignal.timeout(PATIENCE), ...options});
  const answer = await response.json();
  if (!response.ok) {
    throw new Error(answer.error);
  }
  return answer;
}

async function refresh() {
  const state = await ask(`state?cursor=${cursor}`);
  if (state.cursor < cursor) {
    location.reload(); // another cloud listens here now
    return;
  }
  cursor = state.cursor;
  showPlaces(state);
  showSecrets(state);
  showFaults(state);
  showCalls(state.calls);
}

// One question at a time, so that no old answer comes after a new one.
async function live() {
  for (;;) {
    try {
      await refresh();
      document.body.dataset.live = "yes";
      setText(element("connection"), "Live");
    } catch (error) {
      document.body.dataset.live = "no";
      setText(element("connection"), "The local cloud does not answer. It has probably ended.");
    }
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, PAUSE);
    });
  }
}

function say(text) {
  setText(element("message"), text);
  clearTimeout(messageTimer);
  messageTimer = setTimeout(setText, MESSAGE, element("message"), "");
}

async function press(path, body, done) {
  try {
    await ask(path, {method: "POST", body: JSON.stringify(body)});
    say(done);
  } catch (error) {
    say(`That did not work: ${error.message}`);
  }
  wake();
}

const PRESSED = {
  rotate: ({secret}) => press("secrets/rotate", {name: secret},
    `${secret} has a new key. Services reject the old one.`),
  disable: ({secret, version}) => press("secrets/disable", {name: secret, version_id: version},
    `A key of ${secret} is disabled. Services reject it.`),
  enable: ({secret, version}) => press("secrets/enable", {name: secret, version_id: version},
    `A key of ${secret} is enabled. Services accept it again.`),
  clear: ({place}) => {
    const {service, region} = JSON.parse(place);
    const query = new URLSearchParams(region ? {service, region} : {service});
    return press(`faults/clear?${query}`, {}, `${placeName({service, region})} works again.`);
  },
};

function inject(fault) {
  const place = JSON.parse(element("place").value);
  const duration = element("duration").value;
  return press("faults", {...place, ...fault, duration: duration ? Number(duration) : null},
    `${placeName(place)} has a fault.`);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.do) {
    PRESSED[button.dataset.do](button.dataset);
  } else if (button) {
    inject(JSON.parse(button.dataset.fault));
  }
});

live();
