/** A module of tasks that is there, and ends its thread soon after by an error that nobody catches. */
setTimeout(() => {
  throw new Error('soon after the start');
}, 1);
export function never(): Promise<never> {
  return new Promise(() => {});
}
export default never;
