import type { OpenSegment } from '../../lib/store/openSegment.js';
import type { Endpoint } from './endpoint.js';
import type { SimulatedJournal } from './journal.js';
import type { SimulatedWire } from './network.js';
import { type Scene, TIMING } from './scene.js';

/**
 * A connection goes on in another thread of its process, as one that is made anew of the same journal and wire. Gives the
 * wire as that thread has it; null where the connection stays, or its link has ended before.
 */
export function handOver(
  scene: Scene,
  endpoint: Endpoint,
  journal: SimulatedJournal,
  wires: readonly SimulatedWire[],
): SimulatedWire | null {
  const { connection } = endpoint;
  if (connection === null || !connection.side.attached) return null;
  const handover = connection.side.handOver(scene.now);
  if (handover === null) return null;
  const { link, loginData } = handover;
  const replicated = link.kind === 'wire' ? link.replication : null;
  const { lib } = scene;
  const next = new lib.Connection(journal.open() as OpenSegment, 'tcp', () => endpoint.gone(), replicated);
  scene.checking(() => endpoint.opened(next));
  endpoint.given();
  scene.trace?.(
    `${endpoint.name} goes on in another thread${link.kind === 'ended' ? ', after its end' : ''}`,
  );
  if (link.kind === 'wire') {
    const wire = wires.find(({ number }) => number === link.descriptor)?.adopted() ?? null;
    next.side.peer.resume(wire as SimulatedWire, link, TIMING, loginData);
    return wire;
  }
  if (link.kind === 'ended') next.side.peer.attach(new lib.EndedLink(link), loginData);
  return null;
}
