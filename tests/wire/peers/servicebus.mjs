// Drives a Service Bus endpoint with @azure/service-bus: node servicebus.mjs CONNECTION_STRING.
// The queues and the topic are those of test_js_servicebus.py, which asserts on what is printed here.

import { ServiceBusClient } from "@azure/service-bus";
import { failure, report } from "./scenarios.mjs";

const PATIENCE_MS = 10_000;
const OPTIONS = { retryOptions: { maxRetries: 0, timeoutInMs: PATIENCE_MS } };

const connectionString = process.argv[2];
const client = new ServiceBusClient(connectionString, OPTIONS);

async function send(queue, ...messages) {
  const sender = client.createSender(queue);
  await sender.sendMessages(messages);
  await sender.close();
}

async function take(receiver, count) {
  const taken = [];
  while (taken.length < count) {
    const more = await receiver.receiveMessages(count - taken.length, { maxWaitTimeInMs: PATIENCE_MS });
    if (more.length === 0) throw new Error(`${taken.length} of ${count} came`);
    taken.push(...more);
  }
  return taken;
}

async function isEmpty(receiver) {
  return (await receiver.receiveMessages(1, { maxWaitTimeInMs: 300 })).length === 0;
}

// A value so that its type is seen in JSON.
function typed(value) {
  if (value instanceof Date) return { date: value.toISOString() };
  if (Buffer.isBuffer(value)) return { bytes: value.toString("hex") };
  if (value !== null && typeof value === "object" && "low" in value) return { long: value.toString() };
  if (value !== null && typeof value === "object" && !Array.isArray(value)) return fields(value);
  return value;
}

function fields(values) {
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, typed(value)]));
}

async function sending() {
  const sender = client.createSender("sending");
  await sender.sendMessages({ body: "single", messageId: "0" });
  await sender.sendMessages([1, 2, 3].map((n) => ({ body: `list ${n}`, messageId: `${n}` })));
  const batch = await sender.createMessageBatch();
  for (let n = 4; n < 104; n++) {
    if (!batch.tryAddMessage({ body: { n }, messageId: `${n}` })) throw new Error(`no room for ${n}`);
  }
  await sender.sendMessages(batch);
  const whole = await sender.createMessageBatch();
  const fits = [1, 2, 3].map(() => whole.tryAddMessage({ body: Buffer.alloc(100_000) }));
  const tooLarge = await failure(sender.sendMessages({ body: Buffer.alloc(300_000) }));
  await sender.sendMessages({ body: Buffer.alloc(200_000, 7), messageId: "104" });
  await sender.close();
  const receiver = client.createReceiver("sending", { receiveMode: "receiveAndDelete" });
  const received = await take(receiver, 105);
  const empty = await isEmpty(receiver);
  await receiver.close();
  return {
    bodies: received.slice(0, 104).map((message) => message.body),
    ids: received.map((message) => message.messageId),
    large: received[104].body.equals(Buffer.alloc(200_000, 7)),
    maxBatchBytes: whole.maxSizeInBytes,
    fits,
    tooLarge,
    empty,
  };
}

async function scheduling() {
  const sender = client.createSender("scheduling");
  const receiver = client.createReceiver("scheduling");
  const due = new Date(Date.now() + 800);
  const numbers = await sender.scheduleMessages([{ body: "due" }, { body: "cancelled" }], due);
  await sender.cancelScheduledMessages(numbers[1]);
  const waiting = await receiver.peekMessages(10);
  const [message] = await take(receiver, 1);
  await receiver.completeMessage(message);
  const empty = await isEmpty(receiver);
  const later = new Date(Date.now() + 3_600_000);
  await sender.sendMessages({ body: "by its property", scheduledEnqueueTimeUtc: later });
  const [byProperty] = await receiver.peekMessages(1, { fromSequenceNumber: numbers[1].add(1) });
  await Promise.all([sender.close(), receiver.close()]);
  return {
    waiting: waiting.map(({ body, state }) => ({ body, state })),
    body: message.body,
    sameNumber: message.sequenceNumber.equals(numbers[0]),
    early: due - message.enqueuedTimeUtc,
    empty,
    byProperty: { state: byProperty.state, exact: +byProperty.scheduledEnqueueTimeUtc === +later },
  };
}

async function settling() {
  await send("settling", { body: "completed" }, { body: "abandoned" });
  const receiver = client.createReceiver("settling");
  const [first, second] = await take(receiver, 2);
  await receiver.completeMessage(first);
  const twice = await failure(receiver.completeMessage(first));
  const counts = [second.deliveryCount];
  await receiver.abandonMessage(second);
  for (let again = 0; again < 2; again++) {
    const [message] = await take(receiver, 1);
    counts.push(message.deliveryCount);
    await receiver.abandonMessage(message);
  }
  const empty = await isEmpty(receiver);
  await receiver.close();
  const dead = client.createReceiver("settling", { subQueueType: "deadLetter" });
  const [message] = await take(dead, 1);
  await dead.completeMessage(message);
  await dead.close();
  return {
    twice,
    counts,
    empty,
    dead: { body: message.body, reason: message.deadLetterReason, description: message.deadLetterErrorDescription },
  };
}

// The SDK forgets the message when the first one fails, so each has its own.
async function changing() {
  await send("changing", { body: 1 }, { body: 2 }, { body: 3 });
  const receiver = client.createReceiver("changing");
  const [first, second, third] = await take(receiver, 3);
  const answers = {
    abandoning: await failure(receiver.abandonMessage(first, { attempt: 1 })),
    deferring: await failure(receiver.deferMessage(second, { attempt: 1 })),
    deadLettering: await failure(receiver.deadLetterMessage(third, { deadLetterReason: "bad", attempt: 1 })),
  };
  const left = await receiver.peekMessages(10);
  await receiver.close();
  return { ...answers, left: left.map((message) => [message.body, message.state]) };
}

async function deadLettering() {
  await send("dead-lettering", { body: "bad", applicationProperties: { kept: 1 } });
  const receiver = client.createReceiver("dead-lettering");
  const [message] = await take(receiver, 1);
  await receiver.deadLetterMessage(message, {
    deadLetterReason: "unreadable",
    deadLetterErrorDescription: "it has no id",
  });
  const empty = await isEmpty(receiver);
  await receiver.close();
  const dead = client.createReceiver("dead-lettering", { subQueueType: "deadLetter" });
  const [found] = await take(dead, 1);
  await dead.completeMessage(found);
  await dead.close();
  return {
    empty,
    body: found.body,
    reason: found.deadLetterReason,
    description: found.deadLetterErrorDescription,
    properties: found.applicationProperties,
  };
}

async function deferring() {
  await send("deferring", { body: "first" }, { body: "second" });
  const receiver = client.createReceiver("deferring");
  const messages = await take(receiver, 2);
  for (const message of messages) await receiver.deferMessage(message);
  const empty = await isEmpty(receiver);
  const peeked = await receiver.peekMessages(2);
  const deferred = await receiver.receiveDeferredMessages(messages.map((message) => message.sequenceNumber));
  await receiver.completeMessage(deferred[0]);
  await receiver.deadLetterMessage(deferred[1], { deadLetterReason: "second" });
  const gone = await failure(receiver.receiveDeferredMessages(messages[0].sequenceNumber));
  const left = await receiver.peekMessages(2, { fromSequenceNumber: messages[0].sequenceNumber });
  await receiver.close();
  return {
    empty,
    states: peeked.map((message) => message.state),
    bodies: deferred.map((message) => message.body),
    counts: deferred.map((message) => message.deliveryCount),
    gone,
    left: left.length,
  };
}

// "brief" has a lock of 1 s.
async function locking() {
  await send("brief", { body: "renewed" });
  const receiver = client.createReceiver("brief", { maxAutoLockRenewalDurationInMs: 0 });
  const [message] = await take(receiver, 1);
  const before = message.lockedUntilUtc;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const after = await receiver.renewMessageLock(message);
  const [again] = await take(receiver, 1);
  const lost = await failure(receiver.completeMessage(message));
  const lostRenewal = await failure(receiver.renewMessageLock(message));
  await receiver.completeMessage(again);
  const empty = await isEmpty(receiver);
  await receiver.close();
  return {
    prolonged: after - before,
    comesAgain: { count: again.deliveryCount, afterItsLock: again.lockedUntilUtc - after },
    lost,
    lostRenewal,
    empty,
  };
}

async function peeking() {
  await send("peeking", ...[0, 1, 2, 3].map((n) => ({ body: n })));
  const receiver = client.createReceiver("peeking");
  const first = await receiver.peekMessages(2);
  const next = await receiver.peekMessages(10);
  const all = await receiver.peekMessages(10, { fromSequenceNumber: first[0].sequenceNumber });
  const end = await receiver.peekMessages(10);
  await receiver.close();
  return { first: first.map((m) => m.body), next: next.map((m) => m.body), all: all.length, end: end.length };
}

async function streaming() {
  const expected = 60;
  await send("streaming", ...Array.from({ length: expected }, (_, n) => ({ body: n })));
  const receiver = client.createReceiver("streaming");
  const seen = [];
  const errors = [];
  let under = 0;
  let most = 0;
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${seen.length} of ${expected} came`)), PATIENCE_MS).unref();
    receiver.subscribe(
      {
        async processMessage(message) {
          most = Math.max(most, ++under);
          await new Promise((done) => setTimeout(done, 1));
          under--;
          seen.push(message.body);
          if (message.body === 7 && message.deliveryCount === 0) throw new Error("seven fails once");
          if (seen.length === expected + 1) resolve();
        },
        async processError({ error }) {
          errors.push(error.message);
        },
      },
      { maxConcurrentCalls: 5 },
    );
  });
  await receiver.close();
  return { seen, errors, most };
}

async function iterating() {
  await send("iterating", { body: 1 }, { body: 2 }, { body: 3 });
  const receiver = client.createReceiver("iterating");
  const seen = [];
  for await (const message of receiver.getMessageIterator()) {
    seen.push(message.body);
    await receiver.completeMessage(message);
    if (seen.length === 3) break;
  }
  await receiver.close();
  return { seen };
}

async function subscribing() {
  await send(
    "events",
    { body: "plain", applicationProperties: { urgent: "no" } },
    { body: "urgent", applicationProperties: { urgent: "yes" } },
  );
  const all = client.createReceiver("events", "all");
  const urgent = client.createReceiver("events", "urgent");
  const ofAll = await take(all, 2);
  const [ofUrgent] = await take(urgent, 1);
  await all.completeMessage(ofAll[0]);
  await all.deadLetterMessage(ofAll[1], { deadLetterReason: "read" });
  await urgent.completeMessage(ofUrgent);
  const empty = [await isEmpty(all), await isEmpty(urgent)];
  const dead = client.createReceiver("events", "all", { subQueueType: "deadLetter" });
  const [found] = await take(dead, 1);
  await dead.completeMessage(found);
  await Promise.all([all.close(), urgent.close(), dead.close()]);
  return { all: ofAll.map((m) => m.body), urgent: ofUrgent.body, empty, dead: [found.body, found.deadLetterReason] };
}

async function duplicates() {
  await send("once", { body: 1, messageId: "same" });
  await send("once", { body: 2, messageId: "same" }, { body: 3, messageId: "other" });
  const receiver = client.createReceiver("once", { receiveMode: "receiveAndDelete" });
  const bodies = (await take(receiver, 2)).map((message) => message.body);
  const empty = await isEmpty(receiver);
  await receiver.close();
  return { bodies, empty };
}

async function sessions() {
  const rules = client.createRuleManager("events", "all");
  const ofRules = await failure(rules.deleteRule("none"));
  return {
    named: await failure(client.acceptSession("settling", "one")),
    next: await failure(client.acceptNextSession("settling")),
    rules: ofRules,
  };
}

async function refused() {
  const wrong = connectionString.replace(/SharedAccessKey=[^;]*/, `SharedAccessKey=${Buffer.alloc(32).toString("base64")}`);
  const stranger = new ServiceBusClient(wrong, OPTIONS);
  const answers = {
    keySending: await failure(stranger.createSender("settling").sendMessages({ body: "" })),
    keyReceiving: await failure(stranger.createReceiver("settling").receiveMessages(1)),
    sending: await failure(client.createSender("nowhere").sendMessages({ body: "" })),
    receiving: await failure(client.createReceiver("nowhere").receiveMessages(1)),
    subscription: await failure(client.createReceiver("events", "nobody").receiveMessages(1)),
    peeking: await failure(client.createReceiver("nowhere").peekMessages(1)),
  };
  await stranger.close();
  return answers;
}

async function toPython() {
  const { default: Long } = await import("long");
  const sender = client.createSender("to-python");
  await sender.sendMessages({
    body: { text: "tëxt" },
    messageId: "id",
    correlationId: "correlation",
    subject: "subject",
    contentType: "application/json",
    to: "to",
    replyTo: "reply to",
    replyToSessionId: "reply session",
    sessionId: "session",
    partitionKey: "session",
    timeToLive: 90_000,
    applicationProperties: {
      text: "tëxt", empty: "", int: -7, large: 2 ** 40, half: 0.5, yes: true, no: false, none: null,
      when: new Date(1_700_000_000_123),
    },
  });
  await sender.sendMessages([{ body: Buffer.from([0, 255]) }, { body: "string" }, { body: 5 }, { body: null }]);
  await sender.sendMessages([
    { bodyType: "value", body: { a: [1, "b", null] } },
    { bodyType: "sequence", body: [[1, 2], ["x"]] },
    { bodyType: "data", body: Buffer.from("data"), footer: { sum: 9 }, messageAnnotations: { "x-mine": "m" } },
  ]);
  await sender.close();
  return { sent: 8 };
}

async function fromPython() {
  const receiver = client.createReceiver("from-python", { receiveMode: "receiveAndDelete" });
  const [plain, ...others] = await take(receiver, 5);
  await receiver.close();
  const raw = plain.getRawAmqpMessage?.() ?? plain._rawAmqpMessage;
  return {
    body: typed(plain.body),
    messageId: plain.messageId,
    correlationId: plain.correlationId,
    subject: plain.subject,
    contentType: plain.contentType,
    to: plain.to,
    replyTo: plain.replyTo,
    replyToSessionId: plain.replyToSessionId,
    sessionId: plain.sessionId,
    partitionKey: plain.partitionKey,
    timeToLive: plain.timeToLive,
    expires: plain.expiresAtUtc - plain.enqueuedTimeUtc,
    sequenceNumber: typed(plain.sequenceNumber),
    enqueued: typed(plain.enqueuedTimeUtc),
    properties: fields(plain.applicationProperties),
    durable: raw.header?.durable,
    others: others.map((message) => ({
      type: message._rawAmqpMessage.bodyType,
      body: typed(message.body),
      annotation: message._rawAmqpMessage.messageAnnotations?.["x-mine"],
    })),
  };
}

await report({
  sending, scheduling, settling, changing, deadLettering, deferring, locking, peeking, streaming, iterating, subscribing,
  duplicates, sessions, refused, toPython, fromPython,
});
await client.close();
