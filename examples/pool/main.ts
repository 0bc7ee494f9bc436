/**
 * A pool of threads with tasks that are short: a program for piscina, with another import.
 *
 *     node dist/examples/pool/main.js
 *     node dist/examples/pool/main.js --piscina    # the same with piscina
 *
 * In your own project, 'tcpshm' is the package that you have installed.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { RingPool } from 'tcpshm';
import type { Text } from './task.js';

const Pool = process.argv.includes('--piscina') ? Piscina : RingPool;
const TASKS = 20_000;
const AWAITED = 2_000;

const pool = new Pool({
  filename: fileURLToPath(new URL('./task.js', import.meta.url)),
  minThreads: 1,
  maxThreads: 1,
});

function textOf(number: number): Text {
  return { text: 'the quick brown fox '.repeat(number % 5) };
}

let wrong = 0;
const check = (number: number, words: unknown): void => {
  if (words !== 4 * (number % 5)) wrong++;
};
await pool.run(textOf(0));

let start = performance.now();
const results = Array.from({ length: TASKS }, (_, number) => pool.run(textOf(number)));
(await Promise.all(results)).forEach((words, number) => {
  check(number, words);
});
console.log(`${TASKS} tasks at once: ${Math.round((TASKS / (performance.now() - start)) * 1000)} per second`);

start = performance.now();
for (let number = 0; number < AWAITED; number++) check(number, await pool.run(textOf(number)));
console.log(
  `${AWAITED} tasks, each awaited: ${(((performance.now() - start) * 1000) / AWAITED).toFixed(1)} µs`,
);

try {
  await pool.run({ text: 5 as never }, { name: 'default' });
  wrong++;
} catch (error) {
  console.log(`an error of a task: ${(error as Error).message}`);
}
await pool.close();
console.log(`${wrong} results were wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
