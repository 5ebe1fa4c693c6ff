// What the scripts for both endpoints share: one JSON line per scenario, for the Python test to judge.

// Runs all at the same time. Prints {"name", "facts"}, or {"name", "broken"} for what failed unexpectedly.
export async function report(scenarios) {
  await Promise.all(
    Object.entries(scenarios).map(async ([name, scenario]) => {
      let line;
      try {
        line = { name, facts: await scenario() };
      } catch (error) {
        line = { name, broken: error?.stack ?? String(error), code: error?.code };
      }
      console.log(JSON.stringify(line));
    }),
  );
}

// The error with which the promise fails; fails itself when there is none.
export async function failure(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return { name: error.name, code: error.code, substatus: error.substatus, message: error.message };
  }
  throw new Error(`it succeeded: ${JSON.stringify(value)}`);
}
