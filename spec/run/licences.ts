/** The packages that this one depends on, from the lock file, with their licences; `npm run licences` prints them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LOCK = fileURLToPath(new URL('../../../package-lock.json', import.meta.url));

export interface Dependency {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** Needed by who installs this package; else only by who works on it. */
  readonly shipped: boolean;
  /** What the registry's file must hash to. */
  readonly integrity: string | null;
}

interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly integrity?: string;
  readonly link?: boolean;
}

export function dependencies(): Dependency[] {
  const lock = JSON.parse(readFileSync(LOCK, 'utf8')) as { packages: Record<string, LockedPackage> };
  return (
    Object.entries(lock.packages)
      // Folders of this project are none of them: itself, and the one of its tools for API docs.
      .filter(([path, { link = false }]) => path.includes('node_modules/') && !link)
      .map(([path, { version = '', license = '', dev = false, devOptional = false, integrity = null }]) => ({
        name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
        version,
        licence: license,
        shipped: !dev && !devOptional,
        integrity,
      }))
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { name, version, licence, shipped } of dependencies()) {
    console.log(`${shipped ? 'shipped' : 'dev    '}  ${licence.padEnd(20)} ${name} ${version}`);
  }
}
