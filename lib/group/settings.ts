import type { ResourceLimits } from 'node:worker_threads';
import { TcpshmError } from '../errors.js';
import { native } from '../memory/native.js';
import { checkOptions, count } from '../options.js';
import type { GroupOptions } from '../poll/polledSet.js';
import { moduleUrl } from './module.js';

/** How the threads of groups are made, checked. */
export interface GroupThreadSettings {
  /** What `import` takes. */
  readonly module: string;
  /** For each group; null to run on any processor. */
  readonly cpus: readonly (readonly number[] | null)[];
  readonly resourceLimits: ResourceLimits | null;
}

/** Null where the groups have no threads of their own. Throws ERR_OPTION, ERR_NATIVE_MISSING. */
export function groupThreadSettings(options: GroupOptions, groups: number): GroupThreadSettings | null {
  const { worker, cpus, resourceLimits } = options;
  if (worker === undefined) {
    for (const name of ['cpus', 'resourceLimits'] as const) {
      if (options[name] === undefined) continue;
      throw new TcpshmError(
        'ERR_OPTION',
        `groups.${name} is of the threads of groups.worker, which is missing`,
      );
    }
    return null;
  }
  if (resourceLimits !== undefined) checkOptions(resourceLimits);
  return {
    module: moduleUrl(worker),
    cpus: cpus === undefined ? Array(groups).fill(null) : cpuLists(cpus, groups),
    resourceLimits: resourceLimits ?? null,
  };
}

function cpuLists(cpus: unknown, groups: number): number[][] {
  if (!Array.isArray(cpus) || cpus.length !== groups) {
    const got = Array.isArray(cpus) ? `a list of ${cpus.length}` : String(cpus);
    throw new TcpshmError('ERR_OPTION', `groups.cpus must be a list for ${groups} groups, got ${got}`);
  }
  const lists = cpus.map((entry: unknown, group) => {
    const list: unknown[] = Array.isArray(entry) ? entry : [entry];
    const what = `a processor of group ${group} in groups.cpus`;
    if (list.length === 0) throw new TcpshmError('ERR_OPTION', `${what} is missing`);
    return list.map((cpu) => count(cpu ?? null, what, 0, 0));
  });
  native();
  return lists;
}
