# Builds build/Release/tcpshm.node on Linux, and nothing elsewhere: the library does without it there.
{
  'targets': [
    {
      'target_name': 'tcpshm',
      'conditions': [
        ['OS!="linux"', { 'type': 'none' }],
        [
          'OS=="linux"',
          {
            'sources': [
              'src/address.cc',
              'src/bound_path.cc',
              'src/doorbell.cc',
              'src/doorbell_class.cc',
              'src/environment.cc',
              'src/epoll.cc',
              'src/error.cc',
              'src/exit_hook.cc',
              'src/file_sync.cc',
              'src/guarded_range.cc',
              'src/loop_watch.cc',
              'src/mapped_file.cc',
              'src/mapping.cc',
              'src/module.cc',
              'src/private_file.cc',
              'src/socket.cc',
              'src/socket_class.cc',
              'src/system.cc',
              'src/value.cc',
            ],
            'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
            'cflags!': ['-O3'],
            'cflags': ['-O2', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'],
            'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20', '-std=gnu++23'],
            'cflags_cc': ['-std=c++17', '-fvisibility-inlines-hidden'],
            # Finalizers of buffers may still be due when the last thread that loaded the module has ended.
            'ldflags': ['-Wl,-z,nodelete', '-Wl,-z,relro', '-Wl,-z,now'],
          },
        ],
      ],
    },
  ],
}
