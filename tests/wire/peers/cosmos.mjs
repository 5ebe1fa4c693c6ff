// Drives a Cosmos DB endpoint with @azure/cosmos: node cosmos.mjs ENDPOINT KEY.
// It makes its own database; test_js_cosmos.py asserts on what is printed here.

import { ChangeFeedStartFrom, CosmosClient } from "@azure/cosmos";
import { failure, report } from "./scenarios.mjs";

const [endpoint, key] = process.argv.slice(2);
const client = new CosmosClient({ endpoint, key });

const { database } = await client.databases.createIfNotExists({ id: "judged" });

async function freshContainer(id) {
  const { container } = await database.containers.createIfNotExists({ id, partitionKey: { paths: ["/stream"] } });
  return container;
}

const byId = (items) => items.map((item) => item.id).sort();

async function all(iterator) {
  const pages = [];
  while (iterator.hasMoreResults()) {
    const { resources } = await iterator.fetchNext();
    if (resources !== undefined) pages.push(resources);
  }
  return pages;
}

async function resources() {
  const { statusCode, database: made } = await client.databases.create({ id: "made" });
  const again = await failure(client.databases.create({ id: "made" }));
  const { resource: read } = await made.read();
  const { resources: databases } = await client.databases.readAll().fetchAll();
  const { resource: container } = await made.containers.create({ id: "things", partitionKey: "/kind", defaultTtl: -1 });
  const sameContainer = await failure(made.containers.create({ id: "things", partitionKey: "/kind" }));
  const { resource: readContainer } = await made.container("things").read();
  const { resources: containers } = await made.containers.readAll().fetchAll();
  const { resources: ranges } = await made.container("things").readPartitionKeyRanges().fetchAll();
  return {
    statusCode,
    again,
    read: read.id,
    databases: byId(databases),
    container: { id: container.id, paths: container.partitionKey.paths, ttl: container.defaultTtl },
    sameContainer,
    readContainer: { id: readContainer.id, paths: readContainer.partitionKey.paths, ttl: readContainer.defaultTtl },
    containers: byId(containers),
    ranges: ranges.map(({ minInclusive, maxExclusive }) => [minInclusive, maxExclusive]),
    noDatabase: await failure(client.database("none").read()),
    noContainer: await failure(made.container("none").read()),
  };
}

async function items() {
  const container = await freshContainer("items");
  const created = await container.items.create({ id: "a", stream: "s", text: "tëxt", deep: { n: [1, 2.5, null] } });
  const same = await failure(container.items.create({ id: "a", stream: "s" }));
  const sameElsewhere = await container.items.create({ id: "a", stream: "other" });
  const read = await container.item("a", "s").read();
  const unchanged = await container.item("a", "s").read({
    accessCondition: { type: "IfNoneMatch", condition: read.etag },
  });
  const replaced = await container.item("a", "s").replace({ id: "a", stream: "s", n: 1 });
  const stale = { accessCondition: { type: "IfMatch", condition: read.etag } };
  const staleReplace = await failure(container.item("a", "s").replace({ id: "a", stream: "s", n: 2 }, stale));
  const fresh = { accessCondition: { type: "IfMatch", condition: replaced.etag } };
  const freshReplace = await container.item("a", "s").replace({ id: "a", stream: "s", n: 3 }, fresh);
  const staleUpsert = await failure(container.items.upsert({ id: "a", stream: "s", n: 4 }, fresh));
  const upserted = await container.items.upsert({ id: "a", stream: "s", n: 5 });
  const inserted = await container.items.upsert({ id: "b", stream: "s" });
  const odd = await container.items.create({ id: "ä b+c%25:d", stream: "päth/ with?odd#" });
  const oddRead = await container.item("ä b+c%25:d", "päth/ with?odd#").read();
  const staleDelete = await failure(container.item("a", "s").delete(fresh));
  const deleted = await container.item("a", "s").delete();
  const missing = await container.item("a", "s").read();
  return {
    created: created.statusCode,
    same,
    sameElsewhere: sameElsewhere.statusCode,
    read: { status: read.statusCode, text: read.resource.text, deep: read.resource.deep, etag: read.etag === read.resource._etag },
    system: Object.keys(read.resource).filter((name) => name.startsWith("_")).sort(),
    unchanged: { status: unchanged.statusCode, resource: unchanged.resource ?? null },
    staleReplace,
    freshReplace: freshReplace.resource.n,
    staleUpsert,
    upserted: { status: upserted.statusCode, n: upserted.resource.n },
    inserted: inserted.statusCode,
    odd: [odd.statusCode, oddRead.statusCode, oddRead.resource?.id],
    staleDelete,
    deleted: deleted.statusCode,
    missing: { status: missing.statusCode, resource: missing.resource ?? null },
    replaceMissing: await failure(container.item("a", "s").replace({ id: "a", stream: "s" })),
    deleteMissing: await failure(container.item("a", "s").delete()),
    charge: read.requestCharge,
  };
}

async function patching() {
  const container = await freshContainer("patching");
  await container.items.create({ id: "a", stream: "s", n: 1, old: true, list: [1, 3] });
  const item = container.item("a", "s");
  const patched = await item.patch([
    { op: "incr", path: "/n", value: 4 },
    { op: "set", path: "/name", value: "x" },
    { op: "remove", path: "/old" },
  ]);
  const conditional = await item.patch({
    condition: "from c where c.n = 5",
    operations: [{ op: "replace", path: "/name", value: "y" }],
  });
  const refused = await failure(
    item.patch({ condition: "FROM c WHERE c.n = 1", operations: [{ op: "set", path: "/name", value: "z" }] }),
  );
  const etag = await failure(
    item.patch([{ op: "set", path: "/name", value: "z" }], {
      accessCondition: { type: "IfMatch", condition: patched.etag },
    }),
  );
  const badPath = await failure(item.patch([{ op: "replace", path: "/none", value: 1 }]));
  const missing = await failure(container.item("none", "s").patch([{ op: "set", path: "/n", value: 1 }]));
  const { resource } = await item.read();
  const shown = ({ n, name, old, list }) => ({ n, name, old: old ?? null, list });
  return {
    patched: shown(patched.resource),
    conditional: shown(conditional.resource),
    refused,
    etag,
    badPath,
    missing,
    last: shown(resource),
  };
}

async function batches() {
  const container = await freshContainer("batches");
  await container.items.create({ id: "there", stream: "s", n: 1 });
  const done = await container.items.batch(
    [
      { operationType: "Create", resourceBody: { id: "made", stream: "s" } },
      { operationType: "Upsert", resourceBody: { id: "upserted", stream: "s" } },
      { operationType: "Replace", id: "there", resourceBody: { id: "there", stream: "s", n: 2 } },
      { operationType: "Patch", id: "made", resourceBody: { operations: [{ op: "add", path: "/n", value: 7 }] } },
      { operationType: "Delete", id: "upserted" },
    ],
    "s",
  );
  const refused = await container.items.batch(
    [
      { operationType: "Create", resourceBody: { id: "never", stream: "s" } },
      { operationType: "Create", resourceBody: { id: "made", stream: "s" } },
      { operationType: "Delete", id: "there" },
    ],
    "s",
  );
  const stale = await container.items.batch(
    [
      { operationType: "Create", resourceBody: { id: "never", stream: "s" } },
      { operationType: "Replace", id: "there", ifMatch: '"0"', resourceBody: { id: "there", stream: "s", n: 3 } },
    ],
    "s",
  );
  const { resources: left } = await container.items
    .query("SELECT * FROM c", { partitionKey: "s" })
    .fetchAll();
  const statuses = (response) => response.result?.map((each) => each.statusCode);
  return {
    done: { code: done.code, statuses: statuses(done), bodies: done.result.map((each) => each.resourceBody?.n ?? null) },
    refused: { code: refused.code, statuses: statuses(refused) },
    stale: { code: stale.code, statuses: statuses(stale) },
    left: Object.fromEntries(left.map((item) => [item.id, item.n])),
  };
}

// Bulk requests are batches that are not atomic: the endpoint serves none.
async function bulk() {
  const container = await freshContainer("bulk");
  const operations = [{ operationType: "Create", partitionKey: "s", resourceBody: { id: "1", stream: "s" } }];
  const answers = await container.items.executeBulkOperations(operations).then(
    (found) => found.map(({ response, error }) => ({ status: response?.statusCode, code: error?.code, message: error?.message })),
    (error) => [{ code: error.code, message: error.message }],
  );
  return { answers, left: byId((await container.items.readAll().fetchAll()).resources) };
}

async function queries() {
  const container = await freshContainer("queries");
  for (let n = 0; n < 25; n++) {
    await container.items.create({ id: `${n}`, stream: `s${n % 5}`, n, at: 100 - n, even: n % 2 === 0 });
  }
  const ids = (pages) => pages.map((page) => page.map((item) => Number(item.id)));
  const single = {
    query: "SELECT * FROM c WHERE c.n >= @low AND c.even = @even ORDER BY c.n DESC",
    parameters: [{ name: "@low", value: 10 }, { name: "@even", value: true }],
  };
  const inOne = { query: "SELECT * FROM c WHERE c.n < @high ORDER BY c.n", parameters: [{ name: "@high", value: 16 }] };
  const first = await container.items.query(inOne, { partitionKey: "s0", maxItemCount: 2 }).fetchNext();
  const rest = await all(
    container.items.query(inOne, { partitionKey: "s0", maxItemCount: 2, continuationToken: first.continuationToken }),
  );
  const across = container.items.query("SELECT * FROM c ORDER BY c.at", { maxItemCount: 4, forceQueryPlan: true });
  const everything = container.items.query("SELECT * FROM c", { maxItemCount: 3 });
  const unordered = container.items.query(
    { query: "SELECT * FROM c WHERE c.even = @even", parameters: [{ name: "@even", value: true }] },
    { maxItemCount: 3 },
  );
  return {
    filtered: ids([(await container.items.query(single).fetchAll()).resources])[0],
    pages: [...ids([first.resources]), ...ids(rest).filter((page) => page.length)],
    across: ids(await all(across)).flat(),
    everything: ids(await all(everything)).flat().sort((a, b) => a - b),
    unordered: ids(await all(unordered)).flat().sort((a, b) => a - b),
    readAll: ids([(await container.items.readAll({ maxItemCount: 4 }).fetchAll()).resources])[0].length,
    top: ids([(await container.items.query("SELECT TOP 3 * FROM c ORDER BY c.n DESC").fetchAll()).resources])[0],
    limited: ids([
      (await container.items.query("SELECT * FROM c ORDER BY c.n OFFSET 2 LIMIT 4").fetchAll()).resources,
    ])[0],
    none: (await container.items.query("SELECT * FROM c WHERE c.n > 1000").fetchAll()).resources.length,
    notServed: await failure(container.items.query("SELECT COUNT(1) FROM c").fetchAll()),
    noSql: await failure(container.items.query("DROP TABLE c", { partitionKey: "s" }).fetchAll()),
  };
}

async function readFeed(iterator) {
  const found = [];
  for await (const page of iterator.getAsyncIterator()) {
    if (page.statusCode === 304) return { found, token: page.continuationToken };
    found.push(...page.result);
  }
  throw new Error("the feed ended");
}

async function changeFeed() {
  const container = await freshContainer("changes");
  for (let n = 0; n < 12; n++) await container.items.create({ id: `${n}`, stream: `s${n}`, n: 0 });
  await container.items.upsert({ id: "3", stream: "s3", n: 1 });
  await container.item("4", "s4").delete();
  const begin = { changeFeedStartFrom: ChangeFeedStartFrom.Beginning(), maxItemCount: 2 };
  const whole = await readFeed(container.items.getChangeFeedIterator(begin));
  const nothing = await readFeed(
    container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Continuation(whole.token) }),
  );
  const now = container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Now() });
  const fromNow = await readFeed(now);
  await container.items.upsert({ id: "5", stream: "s5", n: 2 });
  await container.items.create({ id: "new", stream: "s11", n: 0 });
  const resumed = await readFeed(
    container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Continuation(nothing.token) }),
  );
  const afterNow = await readFeed(
    container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Continuation(fromNow.token) }),
  );
  const partition = await readFeed(
    container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Beginning("s11") }),
  );
  const ranges = await container.getFeedRanges();
  const byRange = [];
  for (const range of ranges) {
    const { found } = await readFeed(
      container.items.getChangeFeedIterator({ changeFeedStartFrom: ChangeFeedStartFrom.Beginning(range) }),
    );
    byRange.push(byId(found));
  }
  const versions = ({ found }) => Object.fromEntries(found.map((item) => [item.id, item.n]));
  return {
    whole: versions(whole),
    number: whole.found.length,
    nothing: nothing.found.length,
    fromNow: fromNow.found.length,
    resumed: versions(resumed),
    afterNow: versions(afterNow),
    partition: partition.found.map((item) => item.id),
    byRange,
  };
}

async function refused() {
  const stranger = new CosmosClient({ endpoint, key: Buffer.alloc(64).toString("base64") });
  const container = await freshContainer("refused");
  return {
    key: await failure(stranger.databases.readAll().fetchAll()),
    keyItem: await failure(stranger.database("judged").container("refused").items.create({ id: "1", stream: "s" })),
    wrongPartition: await failure(container.item("x", "other").replace({ id: "x", stream: "s" })),
    procedures: await failure(container.scripts.storedProcedures.readAll().fetchAll()),
    left: (await container.items.readAll().fetchAll()).resources.length,
  };
}

await report({ resources, items, patching, batches, bulk, queries, changeFeed, refused });
client.dispose();
