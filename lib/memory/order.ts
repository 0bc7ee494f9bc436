/** Whether the processor itself keeps the order of plain stores, and of plain loads, as x86 does. */
export const STORES_IN_ORDER = process.arch === 'x64' || process.arch === 'ia32';
