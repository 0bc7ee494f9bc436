import { expect } from 'chai';
import { type Connection, RingChannel } from '../../lib/index.js';
import { PolledSet } from '../../lib/poll/polledSet.js';
import { Waker } from '../../lib/poll/waker.js';
import { type Folders, newFolders } from '../support/folders.js';

describe('a connection that was polled, and slept', () => {
  let folders: Folders;
  let waker: Waker;
  beforeEach(() => {
    folders = newFolders();
    waker = new Waker(folders.sharedDirectory);
  });
  afterEach(() => {
    waker.close();
    folders.remove();
  });

  /** How often its peer rings for a message. */
  function ringsFor(leave: (set: PolledSet, connection: Connection) => void): number {
    const { local, remote } = new RingChannel({ capacityBytes: 4096 });
    const far = RingChannel.open(remote);
    const set = new PolledSet({}, waker, true);
    set.add(local, 0);
    expect(set.settle()).to.equal('cold');
    leave(set, local);
    far.send('a message');
    const { rings } = far.stats();
    far.close();
    local.close();
    return rings;
  }

  it('is rung for a message', () => {
    expect(ringsFor(() => {})).to.equal(1);
  });

  it('is not, once it is polled no more', () => {
    expect(ringsFor((set, connection) => set.remove(connection))).to.equal(0);
  });

  it('is not, once it was moved to another group', () => {
    expect(ringsFor((set, connection) => set.move(connection, 0))).to.equal(0);
  });
});
