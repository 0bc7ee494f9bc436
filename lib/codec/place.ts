import type { Message } from '../ring/message.js';
import { KINDS, type Kind, notHeld } from './kinds.js';

type Property = PropertyDescriptor & ThisType<Place>;

/**
 * What cursors over one message are made of. They go along with it from record to record, and once it is pushed or
 * popped, its offset is where its view has nothing.
 *
 * Its own properties have names that no field can have, and are not shown with the fields. Private ones (`#message`) are
 * looked up by a key: with eight layouts in use, which is more than V8 keeps apart, six fields took 246 ns to write and read
 * instead of 16. And the accessors become shorter, so that more of them are inlined: with private ones a function
 * that writes and reads six fields had one left over, and a number allocated for it.
 */
export class Place {
  declare readonly $message: Message;
  declare readonly $view: DataView;

  constructor(message: Message) {
    Object.defineProperty(this, '$message', { value: message });
    Object.defineProperty(this, '$view', { value: message.view });
  }

  static message(place: Place): Message {
    return place.$message;
  }

  /**
   * A property that is a number at `offset` of the message. The bodies are written out, as short as they can be, so that
   * they are all inlined where a message is read and written (`everyday/fields` of the benchmark): six fields made from those
   * of `KINDS` took 130 ns to write and read, and take 10.3 this way, where a DataView alone takes 8.7. Of these, `| 0` saves
   * 1.4, as the sum is no addition then that has to look for an overflow. A copy of the message's offset in the cursor would save
   * another 1.3, but outlive the message.
   */
  static property(kind: Kind, name: string, offset: number): Property {
    const refuse = (value: unknown): never => {
      throw notHeld(KINDS[kind].c, name, value);
    };
    switch (kind) {
      case 'i8':
        return {
          get() {
            return this.$view.getInt8((this.$message._offset + offset) | 0);
          },
          set(value: number) {
            if ((value << 24) >> 24 !== value) refuse(value);
            this.$view.setInt8((this.$message._offset + offset) | 0, value);
          },
        };
      case 'u8':
        return {
          get() {
            return this.$view.getUint8((this.$message._offset + offset) | 0);
          },
          set(value: number) {
            if ((value & 0xff) !== value) refuse(value);
            this.$view.setUint8((this.$message._offset + offset) | 0, value);
          },
        };
      case 'i16':
        return {
          get() {
            return this.$view.getInt16((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if ((value << 16) >> 16 !== value) refuse(value);
            this.$view.setInt16((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'u16':
        return {
          get() {
            return this.$view.getUint16((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if ((value & 0xffff) !== value) refuse(value);
            this.$view.setUint16((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'i32':
        return {
          get() {
            return this.$view.getInt32((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if ((value | 0) !== value) refuse(value);
            this.$view.setInt32((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'u32':
        return {
          get() {
            return this.$view.getUint32((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if (value >>> 0 !== value) refuse(value);
            this.$view.setUint32((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'i64':
        return {
          get() {
            return this.$view.getBigInt64((this.$message._offset + offset) | 0, true);
          },
          set(value: bigint) {
            if (!KINDS.i64.holds(value)) refuse(value);
            this.$view.setBigInt64((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'u64':
        return {
          get() {
            return this.$view.getBigUint64((this.$message._offset + offset) | 0, true);
          },
          set(value: bigint) {
            if (!KINDS.u64.holds(value)) refuse(value);
            this.$view.setBigUint64((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'f32':
        return {
          get() {
            return this.$view.getFloat32((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if (!KINDS.f32.holds(value)) refuse(value);
            this.$view.setFloat32((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'f64':
        return {
          get() {
            return this.$view.getFloat64((this.$message._offset + offset) | 0, true);
          },
          set(value: number) {
            if (typeof value !== 'number') refuse(value);
            this.$view.setFloat64((this.$message._offset + offset) | 0, value, true);
          },
        };
      case 'bool':
        return {
          get() {
            return this.$view.getUint8((this.$message._offset + offset) | 0) !== 0;
          },
          set(value: boolean) {
            if (typeof value !== 'boolean') refuse(value);
            this.$view.setUint8((this.$message._offset + offset) | 0, value ? 1 : 0);
          },
        };
    }
  }
}
