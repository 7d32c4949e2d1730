package org.springframework.jdbc.core;

import java.util.List;

/** Has no database: a test overrides what it needs. */
public class JdbcTemplate {

    public int update(String sql, Object... args) {
        throw new UnsupportedOperationException(sql);
    }

    public int[] batchUpdate(String sql, List<Object[]> args) {
        throw new UnsupportedOperationException(sql);
    }

    public <T> List<T> queryForList(String sql, Class<T> type, Object... args) {
        throw new UnsupportedOperationException(sql);
    }

    public <T> List<T> query(String sql, RowMapper<T> mapper, Object... args) {
        throw new UnsupportedOperationException(sql);
    }
}
