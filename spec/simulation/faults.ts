import type { Change } from './instrumented.js';

/** Faults of the kinds that the simulation is there to find, put into compiled files of lib. */
export const FAULTS: readonly (Change & { readonly what: string })[] = [
  {
    what: 'a pop that selects its commit before it is filled in',
    file: 'ring/consumer.js',
    from: '        this.#sequences[COMMIT_SEQUENCE[slot]] = popped;',
    to: '        this.#words[CONSUMED] = position;\n        this.#sequences[COMMIT_SEQUENCE[slot]] = popped;',
  },
  {
    what: 'a pop that overwrites the commit that is valid',
    file: 'ring/consumer.js',
    from: 'this.#slot = slot === 0 ? 1 : 0;',
    to: '',
  },
  {
    what: 'space that is handed back before it is cleared',
    file: 'ring/consumer.js',
    from: '        this.#memory.clear(this.#reclaimed, position);\n',
    to: '        Atomics.store(this.#words, RECLAIMED, position);\n        this.#memory.clear(this.#reclaimed, position);\n',
  },
  {
    what: 'a record whose size is published before its type',
    file: 'ring/producer.js',
    from: '            this.#words[start + 1] = this.message.type;\n',
    to: '            Atomics.store(this.#words, start, this.message.size + HEADER_BYTES);\n            this.#words[start + 1] = this.message.type;\n',
  },
  {
    what: 'a batch that is published record by record',
    file: 'ring/producer.js',
    from: 'if (this.#position === this.#published)\n            this.#firstSize = size;',
    to: 'if (this.#position === this.#published)\n            this.#firstSize = size;\n        if (false)\n            ;',
  },
  {
    what: 'an allocation that is replaced and left in the ring',
    file: 'ring/producer.js',
    from: 'this.#memory.clear(start, advance(start, this.#length));',
    to: '',
  },
  {
    what: 'a producer that does not clear what the one before it left',
    file: 'ring/producer.js',
    from: '        clearFreeSpace(memory, published.position);\n',
    to: '',
  },
  {
    what: 'a ring that is filled to its last byte',
    file: 'ring/producer.js',
    from: 'return advance(reclaimed, this.#capacity - ALIGNMENT);',
    to: 'return advance(reclaimed, this.#capacity);',
  },
  {
    what: 'a recovery that takes cleared space for the end of the ring',
    file: 'ring/recovery.js',
    from: 'if (distance(position, Atomics.load(memory.words, CONSUMED)) > 0)\n            continue;',
    to: '',
  },
  {
    what: 'a recovery that counts padding as a message',
    file: 'ring/recovery.js',
    from: 'if (kind !== PADDING_KIND)\n                pushed++;',
    to: 'pushed++;',
  },
  {
    what: 'a copy that does not hold back the first word of a record',
    file: 'ring/replica.js',
    from: 'const skipped = first ? ALIGNMENT : 0;',
    to: 'const skipped = 0;',
  },
  {
    what: 'a copy that publishes a record before it is whole',
    file: 'ring/replica.js',
    from: 'if (length > distance(position, this.#written))\n                break;',
    to: '',
  },
  {
    what: 'a login that keeps half of a record of the link before',
    file: 'session/replication.js',
    from: 'rings.replica.discard();',
    to: '',
  },
  {
    what: 'a link that sends again what has arrived',
    file: 'connection.js',
    from: '}, peer.received.position | 0);',
    to: '}, peer.popped.position | 0);',
  },
  {
    what: 'a pop that is told before its space is cleared',
    file: 'session/replication.js',
    from: '        this.#rings.consumer.reclaim();\n        const header',
    to: '        const header',
  },
  {
    what: 'a frame that is forgotten when the wire took a part of it',
    file: 'session/replication.js',
    from: 'this.#sending = this.#headerSent < this.header.bytes.length || this.#from !== this.#to;',
    to: 'this.#sending = this.#headerSent < this.header.bytes.length;',
  },
  {
    what: 'a header of which a part is lost between two receives',
    file: 'session/frame.js',
    from: 'this.#carried = end - at;',
    to: 'this.#carried = Math.min(16, end - at);',
  },
  {
    what: 'bytes that are believed before they are verified',
    file: 'session/replication.js',
    from: 'this.#rings.replica.append(block, start, length);',
    to: 'this.#rings.replica.append(block, start, length);\n        this.#rings.replica.publish();',
  },
  {
    what: 'a peer that is never taken for dead',
    file: 'session/liveness.js',
    from: 'if (now - this.#lastReceived >= this.#connectionTimeoutMs)',
    to: 'if (false)',
  },
  {
    what: 'a session that is deleted while the server may take it for begun',
    file: 'login/clientLogin.js',
    from: 'connection.keep();',
    to: '',
  },
];
