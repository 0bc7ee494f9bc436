import { expect } from 'chai';
import { drive, type Pollable } from '../../lib/poll/drive.js';

describe('a driver', () => {
  it('polls again once what a poll has settled waits again, however many promises that takes', async () => {
    const log: string[] = [];
    const settle: (() => void)[] = [];
    let settled = false;
    let closed = false;
    const chain = async (): Promise<void> => {
      for (let round = 0; round < 3; round++) {
        await new Promise<void>((resolve) => settle.push(resolve));
        for (let step = 0; step < 20; step++) {
          log.push('step');
          await null;
        }
      }
      closed = true;
    };
    const subject = {
      get closed() {
        return closed;
      },
      alive: true,
      waker: { wake() {} },
      pollMessages() {
        log.push('poll');
        const go = settle.shift();
        settled = go !== undefined;
        go?.();
        return settled;
      },
      service: {
        awaited: true,
        takeSettled() {
          const was = settled;
          settled = false;
          return was;
        },
      },
      pollControl() {},
      park: () => 0,
    } as unknown as Pollable;
    const done = chain();
    // As a promise calls it, as it is after its first turn.
    await null;
    await drive(subject, { idle: 'yield' });
    await done;
    const steps = log
      .join(' ')
      .split('poll ')
      .map((text) => text.trim().split(' ').filter(Boolean).length);
    expect(steps.filter((count) => count > 0)).to.deep.equal([20, 20, 20]);
  });
});
