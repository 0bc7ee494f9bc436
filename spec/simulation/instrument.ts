/** Inserts points (crash.ts) before the stores of a compiled source, and before its atomic loads. */

/** What was found in a source. */
export interface Instrumented {
  readonly code: string;
  readonly stores: number;
  readonly loads: number;
}

/** A form that a store has in compiled code, on a line of its own, and what becomes of it. */
const FORMS: readonly (readonly [RegExp, string])[] = [
  [/\bAtomics\.store\(/, 'atomicStore('],
  [/^(\s*)([\w.#]+)\.fill\((.*)\);$/, '$1storeFill($2, $3);'],
  [/^(\s*)([\w.#]+)\.set\((.*)\);$/, '$1storeSet($2, $3);'],
  [/^(\s*)([\w.#]+)\.write\((.*)\);$/, '$1storeText($2, $3);'],
  [/^(\s*)(source)\.copy\((.*)\);$/, '$1$$point(), $2.copy($3);'],
  // Out of a ring, and no store to it.
  [/^(\s*)return ([\w.#]+)\.copy\((target, 0, .*)\);$/, '$1return $2.copy($3);'],
  // A comma keeps it one statement, where there are no braces around it.
  [/^(\s*)this\.view\.(set[A-Z]\w*)\((.*)\);$/, '$1$$point(), this.view.$2($3);'],
  [/^(\s*)return ([\w.#]+)\.write\((.*)\);$/, '$1return $$point(), $2.write($3);'],
  [/^(\s*)([\w.#]+\[(?:(?! = ).)*\]) = (.*);$/, '$1$$point(), $2 = $3;'],
];

const LOAD = /\bAtomics\.load\(/g;

/** Whatever may be a store. */
const SUSPECT =
  /\]\s*(?:[-+*/%&|^]|\*\*|<<|>>>?|&&|\|\||\?\?)?=(?![=>])|\]\s*(?:\+\+|--)|(?:\+\+|--)[\w.#]+\[|\.(?:set|fill|copyWithin|copy|sort|reverse|write\w*|swap\d+|set[A-Z]\w*)\(|\bAtomics\./;

const COMMENT = /^\s*(?:\/\/|\/?\*)/;
/** Taking an array apart stores nothing in it. */
const DESTRUCTURING = /^\s*(?:const|let) \[/;

/** Throws where a line may store in a form that is not known here. `name` is that of the file, for the error. */
export function instrument(source: string, name: string): Instrumented {
  let stores = 0;
  let loads = 0;
  const lines = source.split('\n').map((line) => {
    if (COMMENT.test(line) || DESTRUCTURING.test(line)) return line;
    const read = line.replace(LOAD, () => {
      loads++;
      return 'atomicLoad(';
    });
    if (!SUSPECT.test(read)) return read;
    const form = FORMS.find(([pattern]) => pattern.test(read));
    // One store to a line: nothing of what is left may be another.
    if (form === undefined || SUSPECT.test(read.replace(form[0], '$3'))) {
      throw new Error(`${name} may store in a way that instrument.ts does not know: ${line.trim()}`);
    }
    stores++;
    return read.replace(form[0], form[1]);
  });
  return { code: lines.join('\n'), stores, loads };
}
