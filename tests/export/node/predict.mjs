// Runs exports with transformers.js, offline. Reads a JSON object from standard input and writes a list.
//
// Input: {"folder": FOLDER, "jobs": [{"task": TASK, "model": NAME, "dtype": TYPE, "texts": [TEXT, …],
// "options": {…}}, …]}, where FOLDER/NAME is an export. Output: for each job, one result per text.

import { readFileSync } from "node:fs";
import { env, pipeline, Tensor } from "@huggingface/transformers";

const { folder, jobs } = JSON.parse(readFileSync(0, "utf-8"));
env.allowRemoteModels = false;
env.localModelPath = folder;

const results = [];
for (const { task, model, dtype, texts, options } of jobs) {
  const run = await pipeline(task, model, { dtype, session_options: { intraOpNumThreads: 1 } });
  const found = [];
  for (const text of texts) {
    // One text at a time: the int8 graph scales activations by the range that they have in the batch.
    const result = await run(text, options);
    found.push(result instanceof Tensor ? result.tolist()[0] : result);
  }
  await run.dispose();
  results.push(found);
}
process.stdout.write(JSON.stringify(results));
