/** A module of tasks that ends its thread when it is loaded. */
process.exit(4);
export default function never(): void {}
