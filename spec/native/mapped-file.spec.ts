import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type MappedFile, native } from '../../lib/memory/native.js';
import { cleanUp, expectFailure, isMapped, newFolder, startChild } from './support.js';

const SIZE = 8192;
const IS_ROOT = process.geteuid?.() === 0;

function create(path: string, sizeBytes = SIZE): MappedFile {
  return native().mapFile(path, { create: true, sizeBytes });
}

function open(path: string, sizeBytes = SIZE): MappedFile {
  return native().mapFile(path, { create: false, sizeBytes });
}

describe('MappedFile', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = newFolder();
    path = join(folder, 'file');
  });
  after(cleanUp);

  describe('created', () => {
    it('has the size, mode 0600, and zeros', () => {
      const file = create(path);
      expect(file.path).to.equal(path);
      expect(file.buffer).to.be.instanceOf(ArrayBuffer);
      expect(file.buffer.byteLength).to.equal(SIZE);
      expect(new Uint8Array(file.buffer).every((byte) => byte === 0)).to.equal(true);
      const status = statSync(path);
      expect(status.size).to.equal(SIZE);
      expect(status.mode & 0o7777).to.equal(0o600);
      file.close();
    });

    it('has its space reserved on the file system', () => {
      for (const on of ['memory', 'disk'] as const) {
        const file = create(join(newFolder(on), 'file'), 1 << 20);
        const status = statSync(file.path);
        expect(status.blocks * 512).to.be.at.least(1 << 20);
        file.close();
      }
    });

    it('has mode 0600 under any umask', () => {
      const before = process.umask(0o777);
      try {
        create(path).close();
      } finally {
        process.umask(before);
      }
      expect(statSync(path).mode & 0o7777).to.equal(0o600);
    });

    it('takes sizes that are no multiple of a page', () => {
      const file = create(path, 1001);
      expect(file.buffer.byteLength).to.equal(1001);
      file.close();
    });

    it('writes to the file', () => {
      const file = create(path);
      new Uint8Array(file.buffer).set([1, 2, 3], 4096);
      file.close();
      expect([...readFileSync(path).subarray(4096, 4099)]).to.deep.equal([1, 2, 3]);
    });

    it('refuses a path where something stands, and leaves it alone', () => {
      writeFileSync(path, 'mine', { mode: 0o600 });
      expectFailure(() => create(path), { code: 'EEXIST', errno: 17, syscall: 'open', path });
      expect(readFileSync(path, 'utf8')).to.equal('mine');
    });

    it('refuses a symbolic link, whether or not it leads somewhere', () => {
      symlinkSync(join(folder, 'elsewhere'), path);
      expectFailure(() => create(path), { code: 'EEXIST', syscall: 'open', path });
      expect(existsSync(join(folder, 'elsewhere'))).to.equal(false);
    });

    it('refuses a size of 0', () => {
      expectFailure(() => create(path, 0), { code: 'EINVAL', errno: 22, path });
      expect(readdirSync(folder)).to.deep.equal([]);
    });

    it('refuses a folder that is missing, and a file as folder', () => {
      const missing = join(folder, 'no', 'file');
      expectFailure(() => create(missing), { code: 'ENOENT', syscall: 'open', path: join(folder, 'no') });
      writeFileSync(path, '');
      expectFailure(() => create(join(path, 'file')), { code: 'ENOTDIR', syscall: 'open', path });
      expectFailure(() => create(`${folder}/`), { code: 'EISDIR', syscall: 'open' });
    });

    it('refuses a folder that others can use', () => {
      for (const mode of [0o710, 0o701, 0o755, 0o1777]) {
        chmodSync(folder, mode);
        const error = expectFailure(() => create(path), {
          code: 'EACCES',
          errno: 13,
          syscall: 'open',
          path: folder,
        });
        expect(error.message)
          .to.include('0700')
          .and.include(`has mode 0${mode.toString(8)}`);
      }
      expect(readdirSync(folder)).to.deep.equal([]);
    });

    it('refuses a folder behind a symbolic link', () => {
      const link = join(folder, 'link');
      mkdirSync(join(folder, 'real'), { mode: 0o700 });
      symlinkSync('real', link);
      const error = expectFailure(() => create(join(link, 'file')), {
        code: 'EACCES',
        syscall: 'open',
        path: link,
      });
      expect(error.message).to.include('symbolic link');
      expect(readdirSync(join(folder, 'real'))).to.deep.equal([]);
    });

    it('refuses a folder of another user', function () {
      if (!IS_ROOT) this.skip();
      chownSync(folder, 12345, 12345);
      const error = expectFailure(() => create(path), {
        code: 'EPERM',
        errno: 1,
        syscall: 'open',
        path: folder,
      });
      expect(error.message).to.include('must belong to user 0, belongs to user 12345');
    });

    it('fails at once on a full file system, and leaves nothing', () => {
      const full = join(folder, 'full');
      mkdirSync(full, { mode: 0o700 });
      let room = 1 << 20;
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${room},mode=0700`, 'tmpfs', full], {
          stdio: 'ignore',
        });
      } catch {
        // Not permitted here. No more than the whole of the file system: less could take all memory first.
        const { blocks, bsize } = statfsSync(full);
        room = blocks * bsize;
      }
      try {
        const inFull = join(full, 'file');
        const wanted = room + SIZE;
        const error = expectFailure(() => create(inFull, wanted), {
          code: 'ENOSPC',
          errno: 28,
          syscall: 'fallocate',
          path: inFull,
        });
        expect(error.message).to.equal(
          `ENOSPC: no space left on device, fallocate '${inFull}' (wanted ${wanted} bytes)`,
        );
        expect(readdirSync(full)).to.deep.equal([]);
        expect(isMapped(inFull)).to.equal(false);
      } finally {
        if (room === 1 << 20) execFileSync('umount', [full]);
      }
    });

    it('fails where no memory is left to map it, and leaves nothing', async function () {
      const inFolder = join(newFolder('disk'), 'file');
      const child = startChild(
        `import { execFileSync } from 'node:child_process';
         import { existsSync, readdirSync, readFileSync } from 'node:fs';
         const descriptors = () => readdirSync('/proc/self/fd').length;
         const codeOf = (act) => { try { act(); return 'done'; } catch (error) { return error.code + ' ' + error.syscall; } };
         const small = () => n.mapFile(args + '-small', { create: true, sizeBytes: 64 }).close();
         small();
         const usedBytes = 4096 * Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]);
         try {
           execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (usedBytes + (32 << 20))]);
         } catch {
           say('cannot');
           process.exit();
         }
         say(existsSync(args + '-small'));
         const before = descriptors();
         say(codeOf(() => n.mapFile(args, { create: true, sizeBytes: 128 << 20 })));
         say(existsSync(args));
         say(descriptors() - before);`,
        inFolder,
      );
      const first = await child.line();
      if (first === 'cannot') this.skip();
      expect(first).to.equal('true');
      const rest = [await child.line(), await child.line(), await child.line()];
      expect(rest).to.deep.equal(['ENOMEM mmap', 'false', '0']);
    });

    it('fails on a size that no file can have, and leaves nothing', () => {
      const error = expectFailure(() => create(path, Number.MAX_SAFE_INTEGER), {
        syscall: 'fallocate',
        path,
      });
      expect(error.code).to.be.oneOf(['EFBIG', 'ENOSPC']);
      expect(readdirSync(folder)).to.deep.equal([]);
    });
  });

  describe('opened', () => {
    it('shares its bytes with other mappings in the same process', () => {
      const one = create(path);
      const other = open(path);
      new Int32Array(one.buffer)[7] = 42;
      expect(new Int32Array(other.buffer)[7]).to.equal(42);
      one.close();
      expect(new Int32Array(other.buffer)[7]).to.equal(42);
      other.close();
    });

    it('shares its bytes with another process, in both directions', async () => {
      const file = create(path);
      const words = new Int32Array(file.buffer);
      words[0] = 17;
      const child = startChild(
        `const words = new Int32Array(n.mapFile(args.path, { create: false, sizeBytes: 8 }).buffer);
         Atomics.store(words, 1, words[0] + 1);
         say('stored');
         process.stdin.once('data', () => { say(Atomics.load(words, 2)); process.exit(); });`,
        { path },
      );
      expect(await child.line()).to.equal('stored');
      expect(Atomics.load(words, 1)).to.equal(18);
      Atomics.store(words, 2, 99);
      child.process.stdin?.write('\n');
      expect(await child.line()).to.equal('99');
      file.close();
    });

    it('maps all of a file that is larger than asked for', () => {
      create(path).close();
      const file = open(path, 1);
      expect(file.buffer.byteLength).to.equal(SIZE);
      file.close();
    });

    it('fills the holes of a sparse file', () => {
      writeFileSync(path, '', { mode: 0o600 });
      truncateSync(path, 1 << 20);
      expect(statSync(path).blocks).to.equal(0);
      const file = open(path, 1 << 20);
      expect(statSync(path).blocks * 512).to.be.at.least(1 << 20);
      file.close();
    });

    it('refuses a file that is missing', () => {
      expectFailure(() => open(path), { code: 'ENOENT', errno: 2, syscall: 'open', path });
    });

    it('refuses a file that is too short', () => {
      writeFileSync(path, 'short', { mode: 0o600 });
      const error = expectFailure(() => open(path), { code: 'EINVAL', syscall: 'mmap', path });
      expect(error.message).to.include('must have at least 8192 bytes, has 5');
    });

    it('refuses a symbolic link', () => {
      create(join(folder, 'real')).close();
      symlinkSync('real', path);
      expectFailure(() => open(path), { code: 'ELOOP', syscall: 'open', path });
    });

    it('refuses what is no regular file, without waiting', () => {
      execFileSync('mkfifo', ['-m', '600', path]);
      expectFailure(() => open(path), { code: 'EINVAL', syscall: 'open', path });
      const inner = join(folder, 'inner');
      mkdirSync(inner, { mode: 0o700 });
      expectFailure(() => open(inner), { code: 'EISDIR', syscall: 'open', path: inner });
    });

    it('refuses a file that others can use', () => {
      create(path).close();
      for (const mode of [0o640, 0o602, 0o666]) {
        chmodSync(path, mode);
        const error = expectFailure(() => open(path), { code: 'EACCES', errno: 13, syscall: 'open', path });
        expect(error.message)
          .to.include('0600')
          .and.include(`has mode 0${mode.toString(8)}`);
      }
    });

    it('refuses a folder that others can use, and one behind a symbolic link', () => {
      create(path).close();
      for (const mode of [0o710, 0o755, 0o1777]) {
        chmodSync(folder, mode);
        expectFailure(() => open(path), { code: 'EACCES', errno: 13, syscall: 'open', path: folder });
      }
      chmodSync(folder, 0o700);
      const link = join(newFolder(), 'link');
      symlinkSync(folder, link);
      expectFailure(() => open(join(link, 'file')), { code: 'EACCES', syscall: 'open', path: link });
    });

    it('refuses a file of another user', function () {
      if (!IS_ROOT) this.skip();
      create(path).close();
      chownSync(path, 12345, 12345);
      expectFailure(() => open(path), { code: 'EPERM', errno: 1, syscall: 'open', path });
    });
  });

  describe('closed', () => {
    it('detaches the buffer and unmaps', () => {
      const file = create(path);
      const { buffer } = file;
      const bytes = new Uint8Array(buffer, 16, 16);
      const words = new Int32Array(buffer);
      expect(isMapped(path)).to.equal(true);
      file.close();
      expect(isMapped(path)).to.equal(false);
      expect(file.buffer).to.equal(buffer);
      expect([buffer.byteLength, bytes.length, words.length]).to.deep.equal([0, 0, 0]);
      expect(bytes[0]).to.equal(undefined);
      expect(() => Atomics.load(words, 0)).to.throw();
    });

    it('twice is harmless', () => {
      const file = create(path);
      file.close();
      const other = open(path); // may have got the descriptor's number and the address
      file.close();
      expect(other.buffer.byteLength).to.equal(SIZE);
      expect(new Uint8Array(other.buffer)[0]).to.equal(0);
      expect(other.lock(0, 1)).to.equal(true);
      other.close();
    });

    it('leaves the file', () => {
      create(path).close();
      expect(existsSync(path)).to.equal(true);
    });

    it('answers its calls with EBADF', () => {
      const file = create(path);
      file.close();
      for (const act of [() => file.lock(0, 1), () => file.unlock(0, 1), () => file.isLocked(0, 1)]) {
        expectFailure(act, { code: 'EBADF', errno: 9, syscall: 'fcntl', path });
      }
    });
  });

  it('cannot have its buffer or path replaced', () => {
    const file = create(path) as { -readonly [Key in keyof MappedFile]: MappedFile[Key] };
    expect(() => {
      file.buffer = new ArrayBuffer(1);
    }).to.throw(TypeError);
    expect(() => {
      file.path = '';
    }).to.throw(TypeError);
    file.close();
  });

  it('keeps the memory when script has moved the buffer elsewhere', function () {
    const file = create(path);
    const movable = file.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer };
    if (movable.transfer === undefined) this.skip(); // Node.js before 21
    const moved = movable.transfer();
    file.close();
    new Uint8Array(moved).fill(5);
    expect(readFileSync(path)[0]).to.equal(5);
    expectFailure(() => file.lock(0, 1), { code: 'EBADF' });
  });
});
