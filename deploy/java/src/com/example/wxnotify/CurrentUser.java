package com.example.wxnotify;

/**
 * Tells who is logged in: the company's own id of the user, never one that a
 * client sent. In RuoYi: {@code () -> String.valueOf(SecurityUtils.getUserId())}.
 */
public interface CurrentUser {

    /** The id, 1 to 128 characters. Throws where nobody is logged in. */
    String id();
}
