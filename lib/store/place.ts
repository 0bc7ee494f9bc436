import { TcpshmError } from '../errors.js';
import type { Role } from '../session/names.js';
import type { Identity } from '../session/segment.js';
import { type OpenOptions, openSegmentFile } from './files.js';
import type { OpenSegment, Place } from './openSegment.js';
import { openShared } from './shared.js';

/**
 * Opens a side that another thread of this process has passed on. Throws as `openSegmentFile` and `openShared` do, and
 * ERR_FILE when the file is gone.
 */
export function openPlace(
  place: Place,
  role: Role,
  expected: Partial<Identity>,
  options: OpenOptions,
): OpenSegment {
  if ('memory' in place) return openShared(place.memory, role, expected);
  const open = openSegmentFile(place.path, role, expected, options);
  if (open !== null) return open;
  throw new TcpshmError('ERR_FILE', `the session file ${place.path} is gone`);
}
