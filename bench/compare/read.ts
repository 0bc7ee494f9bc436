/** Reports that were written before. */
import { readFileSync } from 'node:fs';
import type { Report } from '../report.js';

/** Throws, with what is wrong, where there is no report of this bench. */
export function readReport(file: string): Report {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`);
  }
  return parseReport(file, text);
}

/** `file` is what the report is called in errors. */
export function parseReport(file: string, text: string): Report {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`);
  }
  const fault = faultOf(value);
  if (fault !== undefined) throw new Error(`${file} is no report of this bench: ${fault}`);
  return value as Report;
}

const ENVIRONMENT = [
  ['node', 'string'],
  ['cpu', 'string'],
  ['cores', 'number'],
  ['platform', 'string'],
  ['kernel', 'string'],
  ['benchmark', 'string'],
  ['quick', 'boolean'],
] as const;
const UNITS: readonly unknown[] = ['ns', '%', 'B', '/s', 'B/s'];
const NUMBERS = ['n', 'mean', 'p50', 'p99', 'p999', 'max', 'samples', 'slices'] as const;
const RATIOS = ['ratio', 'aloneRatio', 'awaitedRatio', 'peerRatio', 'oneGroupRatio'] as const;

/** The first thing in which a value is no report; undefined for a report. */
function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return 'it is no object';
  const { environment, results, failed, warnings } = value;
  if (!isObject(environment)) return "it has no 'environment'";
  for (const [field, type] of ENVIRONMENT) {
    if (typeof at(environment, field) !== type) return `'environment.${field}' is no ${type}`;
  }
  if (!Array.isArray(results)) return "it has no list 'results'";
  if (!Array.isArray(failed)) return "it has no list 'failed'";
  if (!Array.isArray(warnings)) return "it has no list 'warnings'";
  if (!failed.every((each) => isObject(each) && typeof at(each, 'name') === 'string')) {
    return "what has 'failed' has no name";
  }
  for (const [i, result] of results.entries()) {
    const fault = faultOfResult(result);
    if (fault !== undefined) return `result ${i + 1}: ${fault}`;
  }
  return undefined;
}

function faultOfResult(result: unknown): string | undefined {
  if (!isObject(result)) return 'it is no object';
  const { name, unit, medians } = result;
  if (typeof name !== 'string') return "it has no 'name'";
  if (!UNITS.includes(unit)) return `${name} has the unknown unit '${String(unit)}'`;
  for (const field of NUMBERS) {
    if (!Number.isFinite(at(result, field))) return `'${field}' of ${name} is no number`;
  }
  if (!isNumbers(medians)) return `'medians' of ${name} is no list of numbers`;
  for (const field of RATIOS) {
    if (!isRatio(at(result, field))) return `'${field}' of ${name} is no ratio`;
  }
  return undefined;
}

function isRatio(value: unknown): boolean {
  if (value === undefined) return true;
  if (!isObject(value)) return false;
  const { to, p50, slices } = value;
  return typeof to === 'string' && Number.isFinite(p50) && isNumbers(slices);
}

/** Older reports have none. */
function isNumbers(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every(Number.isFinite));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(object: Record<string, unknown>, field: string): unknown {
  return object[field];
}
