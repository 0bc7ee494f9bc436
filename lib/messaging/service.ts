import { TcpshmError } from '../errors.js';
import type { Call, Method, NoticeOptions, PartsReader, RequestOptions, Shape } from './call.js';
import type { Messenger } from './messenger.js';
import type { HandlerContext } from './served.js';

/**
 * What validates values: any library that has the Standard Schema interface (standardschema.dev), as zod, valibot and
 * arktype do.
 */
export interface StandardSchema<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** Gives the value, which may be another one, or the issues: they are the message of the ERR_CODEC. */
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** What checks the values of a method, on the side that gets them: any Standard Schema (standardschema.dev). */
export interface MethodSchemas<V, R> {
  /** Checks what a handler gets, and may change it. Without it, the type is what the peer is trusted to send. */
  readonly request?: StandardSchema<unknown, V>;
  /** Checks what a client gets, each part of it by itself. */
  readonly answer?: StandardSchema<unknown, R>;
  /** What it is called on the wire, if not by its name in the service. */
  readonly method?: Method;
}

/** One method of a service: made by `method`, `streamOf` and `notice`. */
export interface MethodDefinition<V, R, S extends Shape> extends MethodSchemas<V, R> {
  readonly shape: S;
}

/** A method that is answered with a value. */
export function method<V = void, R = void>(schemas: MethodSchemas<V, R> = {}): MethodDefinition<V, R, 'one'> {
  return { ...schemas, shape: 'one' };
}

/** One that is answered in parts. */
export function streamOf<V = void, R = unknown>(
  schemas: MethodSchemas<V, R> = {},
): MethodDefinition<V, R, 'many'> {
  return { ...schemas, shape: 'many' };
}

/** One that is not answered. */
export function notice<V = void>(
  schemas: Omit<MethodSchemas<V, void>, 'answer'> = {},
): MethodDefinition<V, void, 'nothing'> {
  return { ...schemas, shape: 'nothing' };
}

/** What all methods have, whatever their types: of which nothing can be inferred for these. */
interface AnyMethod {
  readonly shape: Shape;
  readonly request?: object;
  readonly answer?: object;
  readonly method?: Method;
}

/** The methods of a service, by their names. */
export type Methods = Readonly<Record<string, AnyMethod>>;

type Answered<R, S extends Shape> = S extends 'many'
  ? AsyncIterable<R>
  : S extends 'one'
    ? R | Promise<R>
    : void | Promise<void>;
type Told<R, S extends Shape> = S extends 'many' ? AsyncIterableIterator<R, undefined> : Promise<R>;
type Options<S extends Shape> = S extends 'nothing' ? NoticeOptions : RequestOptions;

/** The client of a service: a function for each of its methods. */
export type ServiceClient<M extends Methods> = {
  readonly [K in keyof M]: M[K] extends MethodDefinition<infer V, infer R, infer S>
    ? V extends void
      ? (value?: undefined, options?: Options<S>) => Told<R, S>
      : (value: V, options?: Options<S>) => Told<R, S>
    : never;
};

/** The handlers of a service: one for each of its methods. */
export type ServiceHandlers<M extends Methods> = {
  readonly [K in keyof M]: M[K] extends MethodDefinition<infer V, infer R, infer S>
    ? (value: V, context: HandlerContext) => Answered<R, S>
    : never;
};

/** What a messenger or a pool of them has that a client needs. */
export interface ServiceCaller {
  /** As {@link Messenger.call}. */
  call<R>(method: Method, value: unknown, options?: RequestOptions): Call<R>;
  /** As {@link Messenger.stream}. */
  stream<R>(method: Method, value: unknown, options?: RequestOptions): PartsReader<R>;
  /** As {@link Messenger.notify}. */
  notify(method: Method, value: unknown, options?: NoticeOptions): Promise<void>;
}

/** Methods that two sides agree on: gives typed clients, and takes typed handlers. */
export interface Service<M extends Methods> {
  readonly methods: M;
  /** A client that asks over this messenger. Answers that its schema does not take are an ERR_CODEC. */
  client(caller: ServiceCaller): ServiceClient<M>;
  /** Has the methods answered. A request that its schema does not take is answered with an ERR_CODEC. */
  serve(messenger: Pick<Messenger, 'handle'>, handlers: ServiceHandlers<M>): void;
}

/**
 * A service of these methods:
 *
 *     const shop = service({ price: method<{ item: string }, number>(), orders: streamOf<void, Order>() });
 *     shop.serve(near, { price: ({ item }) => prices.get(item), orders: () => book.follow() });
 *     const price = await shop.client(far).price({ item: 'tea' });
 *
 * Throws ERR_OPTION for two methods that are called alike on the wire.
 */
export function service<M extends Methods>(methods: M): Service<M> {
  const called = new Set<Method>();
  for (const [name, definition] of Object.entries(methods)) {
    const wire = definition.method ?? name;
    if (called.has(wire)) throw new TcpshmError('ERR_OPTION', `two methods are called '${wire}'`);
    called.add(wire);
  }
  return {
    methods,
    client: (caller) => clientOf(methods, caller),
    serve(messenger, handlers) {
      for (const [name, definition] of Object.entries(methods)) {
        const handler = handlers[name] as ((value: unknown, context: HandlerContext) => unknown) | undefined;
        if (typeof handler !== 'function') {
          throw new TcpshmError('ERR_OPTION', `the method '${name}' has no handler`);
        }
        messenger.handle(
          definition.method ?? name,
          checkedHandler(name, definition.request as StandardSchema | undefined, handler),
        );
      }
    },
  };
}

function clientOf<M extends Methods>(methods: M, caller: ServiceCaller): ServiceClient<M> {
  const client: Record<string, (value: unknown, options?: RequestOptions) => unknown> = {};
  for (const [name, definition] of Object.entries(methods)) {
    const { shape } = definition;
    const answer = definition.answer as StandardSchema | undefined;
    const wire = definition.method ?? name;
    client[name] = (value, options) => {
      if (shape === 'nothing') return caller.notify(wire, value, options);
      if (shape === 'many') {
        const parts = caller.stream(wire, value, options);
        return answer === undefined ? parts : checkedParts(name, answer, parts);
      }
      const { response } = caller.call(wire, value, options);
      return answer === undefined ? response : response.then((one) => checked(name, 'answer', answer, one));
    };
  }
  return client as ServiceClient<M>;
}

function checkedHandler(
  name: string,
  schema: StandardSchema | undefined,
  handler: (value: unknown, context: HandlerContext) => unknown,
): (value: unknown, context: HandlerContext) => unknown {
  if (schema === undefined) return handler;
  return (value, context) => {
    const result = checked(name, 'request', schema, value);
    return result instanceof Promise
      ? result.then((good) => handler(good, context))
      : handler(result, context);
  };
}

async function* checkedParts(
  name: string,
  schema: StandardSchema,
  parts: AsyncIterable<unknown>,
): AsyncGenerator<unknown, undefined> {
  for await (const part of parts) yield await checked(name, 'answer', schema, part);
  return undefined;
}

/** What the schema makes of a value. Throws or rejects with ERR_CODEC. */
function checked(name: string, what: string, schema: StandardSchema, value: unknown): unknown {
  const settle = (result: SchemaResult<unknown>): unknown => {
    if (result.issues === undefined) return result.value;
    const issues = result.issues.map(({ message }) => message).join('; ');
    throw new TcpshmError('ERR_CODEC', `the ${what} of '${name}' is not as agreed: ${issues}`);
  };
  const result = schema['~standard'].validate(value);
  return result instanceof Promise ? result.then(settle) : settle(result);
}
