import zlib from 'node:zlib';
import { TcpshmError } from '../errors.js';
import { count } from '../options.js';

/** How fragments are compressed, each for itself. Both sides are given the same. */
export interface Compression {
  /** Told the peer, who is sent nothing compressed unless he has one of this name. */
  readonly name: string;
  /** Smaller fragments go as they are. */
  readonly leastBytes: number;
  /** Throws only for what is wrong with this process. */
  compress(bytes: Uint8Array): Uint8Array;
  /** What was compressed, of at most so many bytes. Throws when it is more, or not what `compress` gives. */
  inflate(bytes: Uint8Array, mostBytes: number): Uint8Array;
}

/** How hard {@link deflate} and {@link zstd} try, and from which size of a fragment on. */
export interface CompressionOptions {
  /** The faster the smaller. Default 1. */
  readonly level?: number;
  /** Default 512. */
  readonly leastBytes?: number;
}

/** Raw deflate, of node:zlib. Throws ERR_OPTION. */
export function deflate(options: CompressionOptions = {}): Compression {
  const level = count(options.level, 'level', 1, 0);
  if (level > 9) throw new TcpshmError('ERR_OPTION', `level must be from 0 to 9, got ${level}`);
  return {
    name: 'deflate',
    leastBytes: count(options.leastBytes, 'leastBytes', 512, 0),
    compress: (bytes) => zlib.deflateRawSync(bytes, { level }),
    inflate: (bytes, mostBytes) => zlib.inflateRawSync(bytes, { maxOutputLength: mostBytes }),
  };
}

/** What node:zlib has of Zstandard, in versions that have it. */
interface Zstd {
  readonly zstdCompressSync?: (bytes: Uint8Array, options: object) => Uint8Array;
  readonly zstdDecompressSync?: (bytes: Uint8Array, options: object) => Uint8Array;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

/** Zstandard, of node:zlib from 22.15 on. Throws ERR_OPTION, also where there is none. */
export function zstd(options: CompressionOptions = {}): Compression {
  const { zstdCompressSync, zstdDecompressSync, constants } = zlib as unknown as Zstd;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    throw new TcpshmError('ERR_OPTION', `node:zlib of Node.js ${process.versions.node} has no zstd`);
  }
  const level = count(options.level, 'level', 1, 0);
  if (level > 22) throw new TcpshmError('ERR_OPTION', `level must be from 0 to 22, got ${level}`);
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  return {
    name: 'zstd',
    leastBytes: count(options.leastBytes, 'leastBytes', 512, 0),
    compress: (bytes) => zstdCompressSync(bytes, { params }),
    inflate: (bytes, mostBytes) => zstdDecompressSync(bytes, { maxOutputLength: mostBytes }),
  };
}

/** Most fragments that go as they are between two trials. */
const MOST_PASSED = 64;

/** Whether compressing pays, as far as it did lately: pure. What saves less than a sixteenth does not. */
export class Payoff {
  #pass = 0;
  #left = 0;

  /** Whether to compress the next fragment. */
  tries(): boolean {
    if (this.#left === 0) return true;
    this.#left--;
    return false;
  }

  /** What it came to. True if the result is worth being sent. */
  pays(before: number, after: number): boolean {
    if (after <= before - before / 16) {
      this.#pass = 0;
      return true;
    }
    this.#pass = Math.min(MOST_PASSED, this.#pass * 2 || 1);
    this.#left = this.#pass;
    return false;
  }
}
