// A service in Node: starts runs by adding jobs, counts what is in the queues, and shows them in bull-board.
//
//   node service.mjs REDIS_URL start DATA...    each DATA, a JSON object, is a start; prints what each came to
//   node service.mjs REDIS_URL counts QUEUE...  prints the number of jobs in each state
//   node service.mjs REDIS_URL board QUEUE...   prints what bull-board shows of each queue

import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import { Queue, QueueEvents } from "bullmq";
import express from "express";
import { Redis } from "ioredis";

const [url, verb, ...given] = process.argv.slice(2);
const connection = new Redis(url, { maxRetriesPerRequest: null });

async function start(...starts) {
  const queue = new Queue("stepwell", { connection });
  const events = new QueueEvents("stepwell", { connection, lastEventId: "0-0" });
  await events.waitUntilReady();
  const answers = starts.map(async (data) => {
    const job = await queue.add("start", JSON.parse(data));
    try {
      return await job.waitUntilFinished(events, 20_000);
    } catch (error) {
      return { error: error.message };
    }
  });
  const settled = await Promise.all(answers);
  await Promise.all([queue.close(), events.close()]);
  return settled;
}

async function counts(...names) {
  const queues = names.map((name) => new Queue(name, { connection }));
  const found = await Promise.all(queues.map((queue) => queue.getJobCounts()));
  await Promise.all(queues.map((queue) => queue.close()));
  return Object.fromEntries(names.map((name, n) => [name, found[n]]));
}

async function board(...names) {
  const queues = names.map((name) => new Queue(name, { connection }));
  const serverAdapter = new ExpressAdapter();
  createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue)), serverAdapter });
  const server = express().use(serverAdapter.getRouter()).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const shown = {};
  for (const name of names) {
    const query = new URLSearchParams({ activeQueue: name, page: "1", jobsPerPage: "10" });
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/api/queues?${query}`);
    const { queues: all } = await answer.json();
    shown[name] = all.find((queue) => queue.name === name);
  }
  server.close();
  await Promise.all(queues.map((queue) => queue.close()));
  return shown;
}

console.log(JSON.stringify(await { start, counts, board }[verb](...given)));
connection.disconnect();
