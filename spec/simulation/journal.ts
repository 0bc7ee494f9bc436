import { Checkpoints } from '../../lib/session/checkpoint.js';
import type { Role } from '../../lib/session/names.js';
import { formatSegment, type Identity, type Segment, segmentBytes } from '../../lib/session/segment.js';
import { FRESH_STATE } from '../../lib/session/state.js';
import type { Journal } from '../../lib/store/journal.js';
import { NEVER_MOVES, type OpenSegment, type Place } from '../../lib/store/openSegment.js';
import { isDying, point } from './crash.js';
import type { Endpoint } from './endpoint.js';
import { SimulatedFile } from './file.js';
import { CLIENT, placeRings, SERVER } from './memory.js';
import type { Scene } from './scene.js';

/** The session as one side has it: outlives its processes and, on a disk, the loss of power. */
export class SimulatedJournal {
  /** Its file, where it is on a disk. */
  readonly file: SimulatedFile | null;
  readonly #scene: Scene;
  readonly #endpoint: Endpoint;
  readonly #role: Role;
  readonly #removed: () => void;
  #segment: Segment | null;
  /** Whether its creation was finished, so that it must be there from then on. */
  #whole = false;

  /** `removed` is called when it is to be deleted. */
  constructor(
    scene: Scene,
    endpoint: Endpoint,
    role: Role,
    session: Pick<Identity, 'sessionId' | 'clientToServer' | 'serverToClient'>,
    removed: () => void,
  ) {
    this.#scene = scene;
    this.#endpoint = endpoint;
    this.#role = role;
    this.#removed = removed;
    const identity = { ...session, client: CLIENT, server: SERVER, bootId: '', journal: true };
    const buffer = new ArrayBuffer(segmentBytes(identity));
    const onDisk = scene.disks[role];
    this.file = onDisk ? new SimulatedFile(buffer, scene.random, () => this.#observe()) : null;
    const segment = new scene.lib.Segment(buffer, identity);
    placeRings(segment, scene.start);
    if (onDisk) formatSegment(buffer, identity);
    this.#segment = segment;
    this.#known = !onDisk;
  }

  /** Null while nobody knows what is in it: until it was begun, and from a loss of power until it was opened. */
  #known: boolean;

  get segment(): Segment | null {
    return this.#known ? this.#segment : null;
  }

  /** The one that was just made, opened. */
  begin(): OpenSegment {
    const segment = this.#segment as Segment;
    const { file } = this;
    if (file === null) return this.#opened(segment, null, true);
    const journal = this.#scene.lib.beginJournal(file, segment, this.#role, 'disk', file.bootId);
    // The folder is written to the disk.
    point();
    this.#whole = true;
    this.#known = true;
    return this.#opened(segment, journal, true);
  }

  /** Null where there is none, as its creation was cut short. */
  open(): OpenSegment | null {
    const { file } = this;
    const { lib, trace } = this.#scene;
    if (file === null) return this.#opened(this.#segment as Segment, null, false);
    try {
      const segment = lib.recognise(file, { client: CLIENT, server: SERVER });
      if (segment !== null) {
        this.#segment = segment;
        const journal = lib.openJournal(file, segment, this.#role, 'disk', file.bootId);
        this.#known = true;
        this.#whole = true;
        return this.#opened(segment, journal, false);
      }
    } catch (error) {
      if (isDying()) throw error;
      trace?.(`${this.#endpoint.name}: opens no journal: ${(error as Error).message}`);
      if (this.#whole) this.#scene.violated(`a journal is lost: ${(error as Error).message}`);
    }
    if (this.#whole) this.#scene.violated('a journal is gone');
    this.#removed();
    return null;
  }

  losePower(): void {
    this.#known = false;
    (this.file as SimulatedFile).losePower();
  }

  #opened(segment: Segment, journal: Journal | null, begun: boolean): OpenSegment {
    const { lib } = this.#scene;
    const { file } = this;
    const role = this.#role;
    const remove = (): void => {
      // A process that is dead by now deletes nothing.
      point();
      this.#scene.removed(this.#endpoint);
      this.#removed();
    };
    const setAside = (): null => {
      remove();
      return null;
    };
    const close = (): void => {
      file?.supersede();
      if (journal !== null) lib.checkpointNow(segment, role, journal);
    };
    const where = 'simulated memory';
    const pass = (): Place => {
      close();
      return { path: where };
    };
    return {
      segment,
      role,
      journal,
      where,
      begun,
      lost: false,
      ...NEVER_MOVES,
      close,
      pass,
      remove,
      setAside,
    };
  }

  /** A sync begins: what the newest checkpoint speaks of is not lost with the power once it has ended. */
  #observe(): () => () => void {
    const segment = this.#segment as Segment;
    const pages = segment.checkpoints as readonly [Int32Array, Int32Array];
    const newest = new Checkpoints(pages, segment.outgoing(this.#role)).newest(true);
    const { outgoing, incoming } = this.#endpoint;
    return () => {
      const { pushed, popped } = newest?.state ?? FRESH_STATE;
      const undoPushes = outgoing.pushesAreSafe(pushed.sequence);
      const undoPops = incoming.popsAreSafe(popped.sequence);
      return () => {
        undoPushes();
        undoPops();
      };
    };
  }
}
