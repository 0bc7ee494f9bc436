/** A child process that does nothing: what node takes by itself. */
import { announce, onOrder, onStop } from '../child.js';
import { memoryUse } from '../idle/usage.js';

onStop(() => process.exit());
onOrder(memoryUse);
announce();
