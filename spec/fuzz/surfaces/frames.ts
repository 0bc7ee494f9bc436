import type { Block } from '../../../lib/memory/copy.js';
import { RingConsumer } from '../../../lib/ring/consumer.js';
import { PADDING_KIND } from '../../../lib/ring/layout.js';
import { RingProducer } from '../../../lib/ring/producer.js';
import { RingReplica } from '../../../lib/ring/replica.js';
import {
  controlFrame,
  FRAME_HEADER_BYTES,
  FrameKind,
  FrameReader,
  MAX_CONTROL_BYTES,
} from '../../../lib/session/frame.js';
import { Replication } from '../../../lib/session/replication.js';
import { CAPACITY, newRing } from '../../ring/rings.js';
import { dataFrame } from '../../support/frames.js';
import type { Random } from '../../support/random.js';
import { extreme, mutate, randomBytes } from '../mutate.js';
import { refusesAtMost, require, type Surface } from '../surface.js';

/** One side of a session over tcp, with some messages sent and none acknowledged. */
function newSide(random: Random): { replication: Replication; consumer: RingConsumer; published: number } {
  const outgoing = newRing();
  const incoming = newRing();
  const producer = new RingProducer(outgoing);
  for (let n = random.below(6); n > 0; n--) {
    producer.claim(random.below(200));
    if (producer.busy) producer.push();
  }
  const consumer = new RingConsumer(incoming);
  const rings = {
    outgoing,
    producer,
    acknowledger: new RingConsumer(outgoing),
    incoming,
    replica: new RingReplica(incoming),
    consumer,
    durability: null,
  };
  return { replication: new Replication(rings, 0), consumer, published: producer.published };
}

/** Records as a producer writes them, most of the time. */
function records(random: Random): Uint8Array {
  const lengths = Array.from({ length: random.below(5) }, () => random.below(60));
  const parts = lengths.map((length) => {
    const bytes = new Uint8Array((8 + length + 7) & -8);
    const view = new DataView(bytes.buffer);
    view.setInt32(0, random.once(20) ? extreme(random) : 8 + length, true);
    view.setInt32(
      4,
      random.once(20) ? random.pick([PADDING_KIND, 0, extreme(random)]) : 1 + random.below(65535),
      true,
    );
    return bytes;
  });
  return Buffer.concat(parts);
}

/** A frame whose header has a word changed. */
function poked(frame: Uint8Array, random: Random): Uint8Array {
  new DataView(frame.buffer, frame.byteOffset).setInt32(4 * random.below(6), extreme(random), true);
  return frame;
}

/**
 * A stream of frames, most of them right as to their form, with a few that say what cannot be; and the payloads of those
 * that are no data.
 */
function stream(random: Random, published: number): { bytes: Uint8Array; payloads: Set<string> } {
  let position = 0;
  const payloads = new Set<string>();
  const frames = Array.from({ length: random.between(1, 6) }, () => {
    if (random.once(4)) {
      const payload = randomBytes(random, 8 * random.below(9));
      payloads.add(payload.toString());
      const frame = controlFrame(random.between(0, 9) as FrameKind, payload);
      return random.once(4) ? poked(frame, random) : frame;
    }
    const payload = records(random);
    const at = random.once(12) ? extreme(random) : position;
    position = (position + payload.length) | 0;
    const acknowledged = random.once(12) ? extreme(random) : random.pick([0, published]);
    const frame = dataFrame(at, payload, acknowledged, random.once(12) ? extreme(random) : random.below(8));
    return random.once(16) ? poked(frame, random) : frame;
  });
  const whole = Buffer.concat(frames);
  return { bytes: random.once(2) ? whole : mutate(whole, random), payloads };
}

/** What comes over the socket of a connection, cut anywhere. */
export const frames: Surface = {
  what: 'streams of frames, damaged, cut, out of order, with acknowledgements and records that cannot be',
  run(random) {
    const { replication, consumer, published } = newSide(random);
    const { bytes, payloads } = stream(random, published);
    let missing = 0;
    const reader = new FrameReader({
      dataBegins(position, length) {
        missing = length;
        replication.dataBegins(position, length);
      },
      dataArrives(block, start, length) {
        missing -= length;
        require(missing >= 0 && start >= 0 && length % 8 === 0, () =>
          `${length} bytes too many of a frame's payload`);
        replication.dataArrives(block, start, length);
      },
      dataEnds(acknowledged, sequence) {
        require(missing === 0, () => `a frame ended with ${missing} bytes missing`);
        replication.dataEnds(acknowledged, sequence);
      },
      control(kind, payload) {
        require(kind >= FrameKind.hello &&
          kind <= FrameKind.challenge &&
          payload.length <= MAX_CONTROL_BYTES, () => `kind ${kind}`);
        require(payloads.has(payload.toString()), () => `a payload that nobody has sent: ${payload}`);
      },
    });
    const buffer = new ArrayBuffer(256 + FRAME_HEADER_BYTES);
    const block: Block = { words: new Int32Array(buffer), bytes: new Uint8Array(buffer) };
    let popped = 0;
    // What begins as TLS does is told as that.
    refusesAtMost(['ERR_PROTOCOL', 'ERR_PROTOCOL_VERSION', 'ERR_TLS'], () => {
      for (let at = 0; at < bytes.length; ) {
        const restored = reader.restore(block);
        const count = Math.min(random.between(1, 256), bytes.length - at, block.bytes.length - restored);
        block.bytes.set(bytes.subarray(at, at + count), restored);
        reader.consume(block, restored + count);
        at += count;
        const kept = reader.state.frame?.payload?.length ?? 0;
        require(kept <= MAX_CONTROL_BYTES, () => `${kept} bytes kept for a frame that has not come`);
        for (let message = consumer.front(); message !== null; message = consumer.front()) {
          require(message.size <= CAPACITY / 4 && message.bytes().length === message.size, () =>
            `a message of ${message?.size} bytes`);
          consumer.pop();
          popped++;
        }
      }
    });
    require(popped <= bytes.length / 8, () => `${popped} messages in ${bytes.length} bytes`);
  },
};
