import { expect } from 'chai';
import { type ErrorCode, TcpshmError } from '../../lib/errors.js';

/** What `act` throws; fails if it throws nothing. */
export function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('expected an error, and none was thrown');
}

/** Expects a TcpshmError of this code, whose message matches; returns it. */
export function expectCode(act: () => unknown, code: ErrorCode, message = /./): TcpshmError {
  const error = thrownBy(act);
  expect(error, String(error)).to.be.instanceOf(TcpshmError);
  expect(error).to.have.property('code', code);
  expect((error as TcpshmError).message).to.match(message);
  return error as TcpshmError;
}
