#version 300 es
// A point of a view's depth mesh, seen by the walker. Camera axes: x right, y down, z ahead.
precision highp float;
layout(location = 0) in vec4 point; // column and row in [0, 1], inverse depth, bend
uniform vec4 K;        // fx / width, fy / height, cx / width, cy / height
uniform mat4 c2w;      // of the view
uniform mat4 clip;     // world to clip space of the walker
uniform float push;    // moved back by this share of its depth
out vec2 uv;
out vec3 world;
out float bend;

void main() {
  uv = point.xy;
  bend = point.w;
  float z = 1.0 / point.z;
  world = (c2w * vec4((uv - K.zw) / K.xy * z, z, 1.0)).xyz;
  gl_Position = clip * vec4(world, 1.0);
  gl_Position.z += push * gl_Position.w;
}
